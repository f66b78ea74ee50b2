"""A Playwright agent that meets a sign-in wall, hands its browser over, and goes on signed in.

python playwright_login.py CDP_URL SITE_URL
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from authloop_handoff import Client


def main(cdp_url: str, site: str) -> None:
    with Client() as client, sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(cdp_url)
        page = browser.contexts[0].pages[0]
        page.goto(f"{site}/account")

        if urlsplit(page.url).path == "/signin":
            handoff = client.handoffs.create(
                cdp_url=cdp_url,
                service="Demo Bank",
                url=page.url,
                wall_type="password",
                requester="Balance agent",
                reason="Read your balance",
                done_when={"any": [{"url": f"{site}/account*"}]},
                storage_state=[site],
            )
            print(f"link: {handoff.url}", flush=True)
            handoff.wait().require_resolved()

            # The same browser is signed in; the state also opens a fresh one, without the user.
            fresh = browser.new_context(storage_state=handoff.storage_state())  # type: ignore[arg-type]
            copy = fresh.new_page()
            copy.goto(f"{site}/account")
            print(f"a fresh context: {copy.text_content('strong')}", flush=True)
            fresh.close()

        page.goto(f"{site}/account")
        print(f"signed in as: {page.text_content('strong')}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
