"""A LangGraph agent with a tool that asks its user to sign in.

The tool interrupts the graph to show the link: whoever runs the graph decides how, for example by a push
message, and resumes. The link never enters the model's context.

python langgraph_agent.py CDP_URL SITE_URL

The model here is scripted, so that the example runs without one; put any chat model that calls tools in its place.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt
from playwright.async_api import Page, async_playwright

from authloop_handoff import AsyncClient


def tools_of(page: Page, cdp_url: str, client: AsyncClient) -> list[BaseTool]:
    """What the agent can do."""

    @tool
    async def read_page(url: str) -> str:
        """Open a page and read its text."""
        await page.goto(url)
        return f"{page.url}\n{await page.inner_text('body')}"

    @tool
    async def ask_user_to_sign_in(
        service: str, sign_in_url: str, done_url: str, call: Annotated[str, InjectedToolCallId]
    ) -> str:
        """Ask the user to sign in at sign_in_url, which is open now. done_url: the address that is shown once signed in."""
        # LangGraph runs an interrupted tool again from its start when it resumes: the key and the same
        # arguments make that the same handoff, not a second one.
        handoff = await client.handoffs.create(
            cdp_url=cdp_url,
            service=service,
            url=sign_in_url,
            requester="LangGraph agent",
            done_when={"any": [{"url": done_url}]},
            idempotency_key=f"langgraph-{call}",
        )
        interrupt({"link": handoff.url})
        end = await handoff.wait()
        return end.outcome.message if end.outcome else end.status

    return [read_page, ask_user_to_sign_in]


def graph_of(model: BaseChatModel, tools: Sequence[BaseTool]) -> Any:
    """The usual loop of a model and its tools."""
    bound = model.bind_tools(tools)

    async def think(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph.compile(checkpointer=InMemorySaver())


class ScriptedModel(BaseChatModel):
    """Reads the account; if that shows a sign-in page, asks the user; says what it has read."""

    site: str

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        last = messages[-1]
        account = f"{self.site}/account"
        seen = str(last.content)
        if not isinstance(last, ToolMessage):
            answer = self._call("read_page", url=account)
        elif last.name == "ask_user_to_sign_in":
            answer = self._call("read_page", url=account)
        elif seen.startswith(f"{self.site}/signin"):
            answer = self._call("ask_user_to_sign_in", service="Demo Bank", sign_in_url=seen.split()[0], done_url=f"{account}*")
        else:
            answer = AIMessage(seen)
        return ChatResult(generations=[ChatGeneration(message=answer)])

    @staticmethod
    def _call(name: str, **args: str) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": name, "args": args, "id": str(uuid.uuid4())}])


async def main(cdp_url: str, site: str) -> None:
    async with async_playwright() as playwright, AsyncClient() as client:
        browser = await playwright.chromium.connect_over_cdp(cdp_url)
        page = browser.contexts[0].pages[0]
        graph = graph_of(ScriptedModel(site=site), tools_of(page, cdp_url, client))
        config = {"configurable": {"thread_id": "1"}}

        state = await graph.ainvoke({"messages": [HumanMessage("What is my balance?")]}, config)
        while interrupts := state.get("__interrupt__"):
            print(f"link: {interrupts[0].value['link']}", flush=True)
            state = await graph.ainvoke(Command(resume=True), config)

        link_seen = any("#" in str(message.content) for message in state["messages"])
        answer = " ".join(str(state["messages"][-1].content).split())
        print(f"the model saw the link: {link_seen}\nanswer: {answer}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
