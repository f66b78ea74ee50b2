// Lays screenshots side by side: node test/support/sheet.mjs out.png a.png b.png …
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { FLAGS } from "./browser.mjs";

const [out, ...files] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
const page = await browser.newPage({
  viewport: { width: Number(process.env.WIDTH ?? 1600), height: 800 },
});
const height = process.env.HEIGHT ?? "760";
await page.setContent(
  `<body style="margin:0;display:flex;flex-wrap:wrap;gap:8px;background:#888">${files
    .map(
      (f) =>
        `<img height="${height}" src="data:image/png;base64,${readFileSync(f).toString("base64")}">`,
    )
    .join("")}</body>`,
);
await page.screenshot({ path: out, fullPage: true });
await browser.close();
