"""Finding links in contents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom_agent.links import find_links, is_link, replace


def test_links_are_found_at_any_depth_and_words_are_left_alone() -> None:
    content = {
        "prompt": "https://example.com/in-the-prompt.png",
        "negative_prompt": "s3://bucket/x.png",
        "styles": ["https://example.com/style"],
        "init_images": ["https://example.com/a.png", "aGVsbG8="],
        "mask": "s3://bucket/mask.png",
        "alwayson_scripts": {"controlnet": {"args": [{"image": "http://example.com/pose.png", "module": "none"}]}},
        "imageList": [{"data": "https://example.com/b.png", "name": "https://example.com/b.png"}],
        "seed": 1,
    }
    found = {link.place: link.url for link in find_links(content)}
    assert {
        "content.init_images[0]": "https://example.com/a.png",
        "content.mask": "s3://bucket/mask.png",
        "content.alwayson_scripts.controlnet.args[0].image": "http://example.com/pose.png",
        "content.imageList[0].data": "https://example.com/b.png",
    } == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.com/x", True),
        ("HTTPS://EXAMPLE.COM/x", True),
        (" https://example.com/x\n", True),
        ("s3://bucket/key", True),
        ("s3://bucket/my key.png", True),
        ("s3://bucket/key\nand more", False),
        ("https://", False),
        ("https:/example.com", False),
        ("ftp://example.com/x", False),
        ("file:///etc/passwd", False),
        ("data:image/png;base64,xyz", False),
        ("see https://example.com/x", False),
        ("https://example.com/x and more", False),
        ("aGVsbG8=", False),
        ("", False),
    ],
)
def test_a_link_is_a_text_that_is_a_url_as_a_whole(text: str, expected: object) -> None:
    assert expected is is_link(text)


json = st.recursive(
    st.none() | st.integers() | st.sampled_from(["https://a/b", "s3://a/b", "words"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from("abc"), json))
def test_every_link_that_is_found_can_be_replaced_and_nothing_else_changes(content: dict[str, object]) -> None:
    links = find_links(content)
    replaced = replace(content, {link.path: "image" for link in links})
    assert [] == find_links(replaced)
    assert str(content).replace("https://a/b", "image").replace("s3://a/b", "image") == str(replaced)
