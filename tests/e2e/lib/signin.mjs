// One person's way through the sign-in site.

export const USER = "ada@example.com";
export const PASSWORD = "Tr0ub4dor&3 – ünïcode";
export const CODE = "314159";

/** The site's options. */
export const site = ["--user", USER, "--password", PASSWORD, "--code", CODE, "--no-hints"];

/** What the site has been sent by then. */
export const submissions = [
  { step: "password", ok: true, fields: { user: USER, password: PASSWORD } },
  { step: "code", ok: true, fields: { code: CODE } },
];

export async function signIn(viewer) {
  await viewer.field("username");
  await viewer.type(USER);
  await viewer.press("Tab");
  await viewer.field("current-password");
  await viewer.type(PASSWORD);
  await viewer.press("Enter");
  await viewer.field("one-time-code");
  await viewer.type(CODE);
  await viewer.press("Enter");
}
