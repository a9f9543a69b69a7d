"""The policies' order: what a route may not be, and what a request passes."""

from dataclasses import replace
from typing import Any, cast

import pytest
from starlette.responses import Response

from functions.edge.exchange import Exchange, Policy, Proceed, Route
from functions.edge.policies import POLICIES, check, follow
from penstock.intakes import CHAT

pytestmark = pytest.mark.anyio

AUTHENTICATE, VALIDATE, RECALL, ADMIT, DISPATCH = POLICIES


async def answer(_: Exchange) -> Response:
    """An answer of no interest."""
    return Response("answer")


def route(*policies: Policy, public: str = "", group: str | None = None) -> Route:
    """A route with these policies, of a group where it has any, and taking something where that is validated."""
    belongs_to = ("things" if policies else "") if group is None else group
    intake = CHAT if VALIDATE in policies else None
    return Route("GET", "/somewhere", answer, policies=policies, public=public, group=belongs_to, intake=intake)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_first_few_policies_are_in_order(count: int) -> None:
    check(route(*POLICIES[:count]))


@pytest.mark.parametrize(
    "policies",
    [
        (VALIDATE,),
        (AUTHENTICATE, ADMIT),
        (AUTHENTICATE, ADMIT, DISPATCH),
        (AUTHENTICATE, VALIDATE, ADMIT, DISPATCH),
        (AUTHENTICATE, VALIDATE, ADMIT, RECALL, DISPATCH),
        (VALIDATE, AUTHENTICATE),
        (AUTHENTICATE, VALIDATE, RECALL, DISPATCH, ADMIT),
        (AUTHENTICATE, AUTHENTICATE),
        (*POLICIES, AUTHENTICATE),
    ],
)
def test_skipped_reordered_and_repeated_policies_do_not_start(policies: tuple[Policy, ...]) -> None:
    with pytest.raises(ValueError, match="GET /somewhere"):
        check(route(*policies))
    with pytest.raises(ValueError, match="GET /somewhere"):
        check(route(*policies, public="for a reason"))


def test_no_policy_needs_a_reason() -> None:
    check(route(public="for a reason"))
    with pytest.raises(ValueError, match="reason to be public"):
        check(route())


def test_a_route_is_not_public_and_guarded() -> None:
    with pytest.raises(ValueError, match="reason to be public"):
        check(route(AUTHENTICATE, public="for a reason"))


def test_a_route_with_policies_belongs_to_a_group_that_a_scope_can_name() -> None:
    with pytest.raises(ValueError, match="GET /somewhere: belongs to a group"):
        check(route(AUTHENTICATE, group=""))
    with pytest.raises(ValueError, match="GET /somewhere: belongs to a group"):
        check(route(public="for a reason", group="things"))


def test_a_route_says_what_it_takes_where_that_is_validated() -> None:
    with pytest.raises(ValueError, match="GET /somewhere: says what it takes"):
        check(replace(route(*POLICIES), intake=None))
    with pytest.raises(ValueError, match="GET /somewhere: says what it takes"):
        check(replace(route(AUTHENTICATE), intake=CHAT))


async def test_a_request_passes_the_policies_in_order_and_answers_come_back_through_them() -> None:
    passed: list[str] = []

    def policy(name: str) -> Policy:
        async def pass_through(_: Exchange, proceed: Proceed) -> Response:
            passed.append(name)
            response = await proceed()
            passed.append(f"{name} again")
            return response

        return pass_through

    response = await follow(route(policy("first"), policy("second")), cast("Any", None))
    assert response.body == b"answer"
    assert passed == ["first", "second", "second again", "first again"]


async def test_a_policy_that_does_not_proceed_ends_the_way() -> None:
    async def stop(_: Exchange, __: Proceed) -> Response:
        return Response("stopped")

    async def never(_: Exchange, __: Proceed) -> Response:
        raise AssertionError

    response = await follow(route(stop, never), cast("Any", None))
    assert response.body == b"stopped"
