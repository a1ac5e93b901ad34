"""`darkroom cost`: what a month costs, by the guide's table and by this design."""
