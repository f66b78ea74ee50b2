//! Planting a bundle into a browser context: whole, or the context stays as it was.

use authloop_cdp::{Browser, BrowserError, Page};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::{
    bundle::{Bundle, Cookie, CookieScope, Item, OriginStorage},
    empty_page::{ARRAYS, EmptyPage},
    grant::Grant,
    read::{context_of, cookies},
};

/// Replaces what an origin stores.
const WRITE_SCRIPT: &str = include_str!("write-storage.js");

/// Why a bundle was not planted. The context is as it was, unless the browser is gone.
#[derive(Debug, thiserror::Error)]
pub enum PlantError {
    /// What the browser says against it.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The browser does not keep a cookie of this domain.
    #[error("the agent's browser refuses a cookie of {domain}")]
    CookieRefused {
        /// The cookie's domain.
        domain: String,
    },
    /// The browser does not keep what this origin stores.
    #[error("the agent's browser does not take what {origin} stores")]
    StorageRefused {
        /// The origin.
        origin: String,
    },
}

impl Bundle {
    /// Plants the bundle into `page`'s browser context, in place of the cookies of the granted sites and of
    /// what the bundle's origins store; session storage into `page`'s own tab. `page` shows an empty document
    /// afterwards, or before the first error if that is its own.
    ///
    /// # Errors
    /// [`PlantError`]: what was there before is there again, as far as the browser still answers.
    pub async fn plant(
        &self,
        browser: &Browser,
        page: &Page,
        grant: &Grant,
    ) -> Result<(), PlantError> {
        let mut old = Self {
            cookies: cookies(page).await?,
            origins: Vec::new(),
        };
        old.keep_granted(grant);
        let empty = EmptyPage::take(browser, page).await?;
        let planted = self.plant_on(browser, page, &empty, &mut old).await;
        if let Err(error) = &planted {
            tracing::warn!(%error, "the session was not planted; the old state comes back");
            old.restore(browser, page, &empty, self).await;
        }
        // A page that stays held would be of no use to its agent, whatever came before.
        let released = empty.release().await;
        planted?;
        Ok(released?)
    }

    /// Plants, and notes in `old` what each origin stored before.
    async fn plant_on(
        &self,
        browser: &Browser,
        page: &Page,
        empty: &EmptyPage,
        old: &mut Self,
    ) -> Result<(), PlantError> {
        for storage in &self.origins {
            let before = OriginStorage::read(empty, &storage.origin).await?;
            old.origins.push(before);
            storage.write(empty).await?;
        }
        replace_cookies(browser, page, &old.cookies, &self.cookies).await
    }

    /// Puts back what was there before `planted`.
    async fn restore(&self, browser: &Browser, page: &Page, empty: &EmptyPage, planted: &Self) {
        for storage in &self.origins {
            let shown = empty.show(&storage.origin).await;
            if shown.is_err() || storage.write(empty).await.is_err() {
                tracing::error!(origin = %storage.origin, "what it stored before is lost");
            }
        }
        if let Err(error) = replace_cookies(browser, page, &planted.cookies, &self.cookies).await {
            tracing::error!(%error, "the cookies from before are not all back");
        }
    }
}

impl OriginStorage {
    /// Replaces what the origin stores, on a page that shows it.
    async fn write(&self, empty: &EmptyPage) -> Result<(), PlantError> {
        let pairs = |items: &[Item]| {
            let pairs = items.iter();
            let pairs = pairs.map(|item| json!([item.name, item.value.expose_secret()]));
            pairs.collect::<Vec<_>>()
        };
        // JSON is JavaScript (ECMA-262), and the databases are JSON that has been parsed before.
        let arguments = SecretString::from(format!(
            "{{\"local\":{},\"session\":{},\"databases\":{}}},{ARRAYS}",
            json!(pairs(&self.local)),
            json!(pairs(&self.session)),
            self.databases.expose_secret(),
        ));
        match empty.call(WRITE_SCRIPT, arguments.expose_secret()).await {
            Ok(answer) if answer.as_bool() == Some(true) => Ok(()),
            Ok(_) | Err(BrowserError::Unexpected(_)) => Err(PlantError::StorageRefused {
                origin: self.origin.clone(),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// Deletes `old` cookies and sets `new` ones, and looks whether they are there.
async fn replace_cookies(
    browser: &Browser,
    page: &Page,
    old: &[Cookie],
    new: &[Cookie],
) -> Result<(), PlantError> {
    for cookie in old {
        if !new.iter().any(|kept| kept.is_same(cookie)) {
            page.call("Network.deleteCookies", CookieScope(cookie).to_cdp())
                .await?;
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let context = context_of(page).await?;
    let set = async |cookies: &[Cookie]| {
        let cookies: Vec<_> = cookies.iter().map(Cookie::to_cdp).collect();
        let mut params = json!({ "cookies": cookies });
        if let Some(context) = &context {
            params["browserContextId"] = context.clone().into();
        }
        browser.call("Storage.setCookies", params).await
    };
    match set(new).await {
        Ok(_) => {}
        // One that is refused keeps all the others out: which it is, is found one by one.
        Err(BrowserError::Cdp { .. }) => {
            for cookie in new {
                if let Err(error) = set(std::slice::from_ref(cookie)).await {
                    return Err(match error {
                        BrowserError::Cdp { .. } => refused(cookie),
                        other => other.into(),
                    });
                }
            }
        }
        Err(error) => return Err(error.into()),
    }
    let kept = cookies(page).await?;
    match new.iter().find(|cookie| {
        let is_there = |found: &Cookie| {
            found.is_same(cookie) && found.value.expose_secret() == cookie.value.expose_secret()
        };
        !kept.iter().any(is_there)
    }) {
        Some(missing) => Err(refused(missing)),
        None => Ok(()),
    }
}

fn refused(cookie: &Cookie) -> PlantError {
    PlantError::CookieRefused {
        domain: cookie.domain.clone(),
    }
}
