"""`darkroom plan`: how a runtime scales, simulated: KEDA, the HPA, Karpenter, the pods and their agents."""
