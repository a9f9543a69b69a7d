"""The share of prompts in a step: within its bounds whatever was measured, and in proportion to who waits."""

from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine.pace import WEIGHT, Pace

STEP_S, TOKEN_S = 0.02, 0.0001  # seconds
LEAST, STEP_TOKENS = 16, 1_000_000


def pace(stretch: float = 2.0) -> Pace:
    """It has seen steps of eight that decode, and prompts alone."""
    pace = Pace(stretch=stretch, step_tokens=STEP_TOKENS, least=LEAST)
    for _ in range(20):
        pace.observe(8, 0, STEP_S)
        pace.observe(0, 100, 100 * TOKEN_S)
    return pace


MEASURED = st.tuples(st.integers(0, 300), st.integers(0, 2000), st.floats(0, 1e6))


@given(
    st.floats(1, 1e6, exclude_min=True),
    st.integers(1, 600),
    st.integers(1, 300),
    st.lists(MEASURED.filter(lambda step: step[0] + step[1] > 0), max_size=10),
    st.data(),
)
def test_a_share_is_never_more_than_fits_and_never_less_than_the_least(
    stretch: float, step_tokens: int, least: int, steps: list[tuple[int, int, float]], data: st.DataObject
) -> None:
    pace = Pace(stretch=stretch, step_tokens=step_tokens, least=least)
    for step in steps:
        pace.observe(*step)
    decoding = data.draw(st.integers(0, step_tokens))
    share = pace.share(decoding, data.draw(st.integers(0, 10_000)))
    assert min(least, step_tokens - decoding) <= share <= step_tokens - decoding


def test_a_token_that_costs_next_to_nothing_is_no_error() -> None:
    pace = Pace(stretch=2.0, step_tokens=STEP_TOKENS, least=LEAST)
    pace.observe(0, 1, 5e-324)
    pace.observe(8, 0, 1.0)
    assert pace.share(8, 1) == STEP_TOKENS - 8


def test_where_nobody_decodes_prompts_get_the_whole_step() -> None:
    assert pace().share(0, 1) == STEP_TOKENS


def test_before_anything_is_measured_prompts_get_the_least() -> None:
    assert Pace(stretch=2.0, step_tokens=STEP_TOKENS, least=LEAST).share(4, 1) == LEAST


def test_one_prompt_beside_many_makes_a_step_as_long_as_the_stretch_says() -> None:
    for stretch in (1.5, 2.0, 3.0):
        tokens = pace(stretch).share(8, 1)
        assert abs(tokens * TOKEN_S - (stretch - 1) * STEP_S) <= TOKEN_S


def test_a_prompt_grows_in_its_share_with_those_who_wait_behind_it() -> None:
    shares = [pace().share(8, waiting) for waiting in range(1, 41)]
    assert shares == sorted(shares)
    assert shares[0] == shares[8 // WEIGHT]  # few behind it do not outweigh those who decode
    assert abs(shares[-1] - shares[0] * WEIGHT * 39 / 8) <= WEIGHT * 39 / 8  # of 40, one is read


def test_what_a_token_of_a_prompt_costs_is_learnt_beside_those_who_decode() -> None:
    slow = pace()
    for _ in range(30):
        slow.observe(8, 100, STEP_S + 100 * 10 * TOKEN_S)
    assert abs(slow.share(8, 1) - pace().share(8, 1) / 10) <= 1


def test_one_odd_measurement_is_half_believed() -> None:
    odd = pace()
    odd.observe(0, 100, 100 * 9 * TOKEN_S)
    assert abs(odd.share(8, 1) - pace().share(8, 1) / 5) <= 1


def test_a_number_that_was_not_measured_is_taken_for_the_nearest() -> None:
    two = Pace(stretch=2.0, step_tokens=STEP_TOKENS, least=1)
    two.observe(0, 10, 10 * TOKEN_S)
    two.observe(1, 0, 0.01)
    two.observe(64, 0, 0.04)
    assert abs(two.share(2, 1) - 100) <= 1
    assert abs(two.share(40, 1) - 400) <= 1
