"""A browser-use agent with an action that asks its user to sign in.

python browser_use_agent.py CDP_URL SITE_URL

The model here is scripted, so that the example runs without one; put any of browser-use's chat models in its place.
"""

# No `from __future__ import annotations`: browser-use reads the annotations of actions as they stand.

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("ANONYMIZED_TELEMETRY", "false")
os.environ.setdefault("BROWSER_USE_LOGGING_LEVEL", "result")
# A person may take longer than the 180 s that browser-use gives an action.
os.environ.setdefault("BROWSER_USE_ACTION_TIMEOUT_S", "900")

from browser_use import ActionResult, Agent, Browser, BrowserSession, Tools
from browser_use.llm.views import ChatInvokeCompletion

from authloop_handoff import AsyncClient, NotSignedInError


def tools_of(cdp_url: str, client: AsyncClient) -> Tools[Any]:
    """browser-use's own actions, and one more."""
    tools: Tools[Any] = Tools()

    @tools.action(  # type: ignore[untyped-decorator]
        "Ask the user to sign in on the page that is open now, whenever it wants a password, a code or a CAPTCHA. "
        "done_url: the address that is shown once signed in."
    )
    async def ask_user_to_sign_in(service: str, done_url: str, browser_session: BrowserSession) -> ActionResult:
        handoff = await client.handoffs.create(
            cdp_url=cdp_url,
            service=service,
            url=await browser_session.get_current_page_url(),
            requester="browser-use agent",
            done_when={"any": [{"url": done_url}]},
        )
        # To the user, by whatever way there is, and never into the model's context.
        print(f"link: {handoff.url}", flush=True)
        try:
            (await handoff.wait()).require_resolved()
        except NotSignedInError as error:
            return ActionResult(error=f"The user did not sign in: {error}")
        return ActionResult(extracted_content="The user has signed in.")

    return tools


class ScriptedModel:
    """Opens the account; asks the user, as that shows a sign-in page; opens it again; says what it reads there."""

    model = "scripted"
    provider = "scripted"
    name = "scripted"
    model_name = "scripted"
    llm_type = "scripted"
    _verified_api_keys = True

    def __init__(self, site: str) -> None:
        self.site = site
        self.seen: list[str] = []
        self._script = self._steps()

    def _steps(self) -> Iterator[dict[str, Any]]:
        account = {"navigate": {"url": f"{self.site}/account", "new_tab": False}}
        yield account
        yield {"ask_user_to_sign_in": {"service": "Demo Bank", "done_url": f"{self.site}/account*"}}
        yield account
        user = "Welcome back" if "Welcome back" in self.seen[-1] else "nobody"
        yield {"done": {"text": user, "success": user != "nobody"}}

    async def ainvoke(self, messages: list[Any], output_format: Any = None, **_: Any) -> ChatInvokeCompletion[Any]:
        self.seen.append(" ".join(str(message) for message in messages))
        thought = {"evaluation_previous_goal": "", "memory": "", "next_goal": "", "thinking": ""}
        answer = output_format.model_validate({**thought, "action": [next(self._script)]})
        return ChatInvokeCompletion(completion=answer, usage=None)


async def main(cdp_url: str, site: str) -> None:
    model = ScriptedModel(site)
    browser = Browser(cdp_url=cdp_url)
    async with AsyncClient() as client:
        agent: Agent[Any, Any] = Agent(
            task="Read my balance",
            llm=model,  # type: ignore[arg-type]
            browser=browser,
            tools=tools_of(cdp_url, client),
            use_vision=False,
            use_judge=False,
            step_timeout=900,
        )
        history = await agent.run(max_steps=6)
    link_seen = any("/#" in seen for seen in model.seen)
    print(f"the model saw the link: {link_seen}\nanswer: {history.final_result()}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
