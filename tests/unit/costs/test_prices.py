"""The guide's table and the prices: to the cent, each with a date and a source."""

from datetime import date
from decimal import Decimal
from itertools import combinations

import pytest

from darkroom_cli.costs.prices import CENT, GuideLine, PriceList, cents

D = Decimal
GUIDE = PriceList.read().guide

# (service, quantity, unit price, total) as the guide prints them
PRINTED = (
    ("Amazon EC2", "416.67", "0.4968", "207"),
    ("Amazon API Gateway", "1", "3.50", "3.50"),
    ("AWS Lambda", "12500", "0.0000166667", "0.21"),
    ("AWS Lambda", "1", "0.20", "0.20"),
    ("Amazon SNS", "2", "0.50", "0.50"),
    ("Amazon SNS", "7.62", "0.09", "0.68"),
    ("Amazon SQS", "2", "0.40", "0.80"),
    ("Amazon S3", "2000", "0.005", "10.00"),
    ("Amazon S3", "143.05", "0.023", "3.29"),
    ("Amazon EKS", "1", "72.00", "72.00"),
    ("Amazon EC2", "1440", "0.0960", "138.24"),
)


def test_the_guides_table_is_kept_as_the_guide_prints_it() -> None:
    kept = [(line.service, line.quantity, line.price, line.printed) for line in GUIDE.lines]
    assert [(service, D(quantity), D(price), D(total)) for service, quantity, price, total in PRINTED] == kept


def test_the_guides_headline_is_reached_to_the_cent() -> None:
    assert D("436.72") == GUIDE.headline == GUIDE.total


def test_the_lines_as_printed_do_not_add_up_to_the_headline_and_each_correction_says_why() -> None:
    assert D("436.42") == GUIDE.printed_total
    corrected = [line for line in GUIDE.lines if line.counted is not None]
    assert GUIDE.headline - GUIDE.printed_total == sum(line.in_headline - line.printed for line in corrected)
    assert all(line.why for line in corrected)


def test_nothing_simpler_than_the_two_corrections_reaches_the_headline() -> None:
    slips = [(line, line.what, amount) for line in GUIDE.lines for amount in (-line.printed, line.printed)]
    slips += [
        (line, line.what, cents(line.quantity * line.price) - line.printed)
        for line in GUIDE.lines
        if line.service == "Amazon SNS"
    ]
    missing = GUIDE.headline - GUIDE.printed_total
    assert [] == [slip for slip in slips if slip[2] == missing]
    pairs = {
        frozenset((one[0].service, other[0].service))
        for one, other in combinations(slips, 2)
        if one[0] is not other[0] and one[2] + other[2] == missing
    }
    assert {frozenset({"AWS Lambda", "Amazon SNS"}), frozenset({"Amazon SQS", "Amazon SNS"})} == pairs


def test_without_one_lambda_line_the_headline_is_the_sum_of_printed_or_of_unrounded_amounts() -> None:
    duration, requests = (line for line in GUIDE.lines if line.service == "AWS Lambda")
    exact = sum((line.quantity * line.price for line in GUIDE.lines), D(0))
    assert GUIDE.headline == sum((line.in_headline for line in GUIDE.lines if line is not requests), D(0))
    assert GUIDE.headline == cents(exact - duration.quantity * duration.price)


@pytest.mark.parametrize("line", [line for line in GUIDE.lines if line.printed not in {D("0.50"), D("0.68")}])
def test_a_line_is_its_quantity_times_its_price_to_the_cent(line: GuideLine) -> None:
    assert line.printed == cents(line.quantity * line.price)


def test_the_two_lines_that_are_not_are_known() -> None:
    requests, data = (line for line in GUIDE.lines if line.service == "Amazon SNS")
    assert requests.in_headline == cents(requests.quantity * requests.price)  # the line prints the half
    assert data.printed == (data.quantity * data.price).quantize(CENT, "ROUND_DOWN")  # cut, not rounded


def test_the_quantities_follow_from_the_guides_footnotes() -> None:
    images = GUIDE.images
    assert D("416.67") == cents(D(images) * D("1.5") / 3600)  # 1.5 s a request
    assert D("143.05") == cents(D(images) * 150 / 1024**2)  # 150 KB an image
    assert D("7.62") == (D(images) * 8 / 1024**2).quantize(CENT, "ROUND_DOWN")  # half of what its footnote says
    assert D("12500") == images * D("0.1") * 128 / 1024  # 100 ms with 128 MB
    assert D("1440") == 2 * 24 * 30


def test_lines_that_vary_grow_with_the_images_and_the_others_do_not() -> None:
    double = sum((amount for _, amount in GUIDE.for_images(2_000_000)), D(0))
    fixed = sum((line.in_headline for line in GUIDE.lines if not line.varies), D(0))
    assert double == 2 * GUIDE.total - fixed


def test_every_price_has_a_source_and_a_date_that_has_been() -> None:
    for name, price in PriceList.read().prices.items():
        assert price.usd > 0, name
        assert price.source.startswith(("https://", "the user guide")), name
        assert date(2024, 1, 1) < price.date <= date.today(), name  # noqa: DTZ011  whose today does not matter


def test_a_price_of_a_million_is_of_single_ones() -> None:
    prices = PriceList.read().prices
    assert D("3.50") == prices["api-requests"].of(D(1_000_000))
    assert D("10.000") == prices["s3-puts"].of(D(2_000_000))
    assert D("72.00") == prices["eks-cluster"].of(D(720))
