//! A browser as far as sign-ins go: cookies for each origin, redirects followed one by one, forms filled in.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are not tests to the lint

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use super::server::runtime;

pub struct Browser {
    client: reqwest::Client,
    jar: RefCell<HashMap<String, BTreeMap<String, String>>>,
}

#[derive(Debug)]
pub struct Page {
    pub url: url::Url,
    pub status: u16,
    pub to: Option<String>,
    pub again: bool,
    pub cookies: Vec<String>,
    pub body: String,
}

/// What stands between two texts.
pub fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let start = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}")) + before.len();
    text[start..].split(after).next().unwrap()
}

/// A form's fields as its body.
pub fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

impl Browser {
    /// One that trusts these authorities.
    pub fn new(authorities: &[&Path]) -> Self {
        let read = |path: &&Path| reqwest::Certificate::from_pem(&std::fs::read(path).unwrap()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only(authorities.iter().map(read))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(40));
        Self { client: client.build().unwrap(), jar: RefCell::default() }
    }

    pub fn get(&self, url: &str) -> Page {
        self.send(self.client.get(url))
    }

    pub fn bearer(&self, url: &str, token: &str) -> Page {
        self.send(self.client.get(url).bearer_auth(token))
    }

    pub fn post(&self, url: &str, fields: &[(&str, &str)]) -> Page {
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(form(fields)))
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let mut request = request.build().unwrap();
        let origin = request.url().origin().ascii_serialization();
        let pairs = self.jar.borrow().get(&origin).cloned().unwrap_or_default();
        if !pairs.is_empty() {
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.headers_mut().insert("cookie", pairs.join("; ").parse().unwrap());
        }
        let url = request.url().clone();
        let answer = runtime().block_on(async { self.client.execute(request).await }).unwrap();
        let text = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let to = text("location").map(|to| url.join(&to).unwrap().to_string());
        let again = text("retry-after").is_some();
        let cookies = answer.headers().get_all("set-cookie").iter();
        let cookies: Vec<String> = cookies.map(|cookie| cookie.to_str().unwrap().to_owned()).collect();
        for cookie in &cookies {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let mut jar = self.jar.borrow_mut();
            let jar = jar.entry(origin.clone()).or_default();
            if value.is_empty() {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        let status = answer.status().as_u16();
        Page { url, status, to, again, cookies, body: runtime().block_on(answer.text()).unwrap() }
    }

    /// Signs in at a provider's pages, from an address on, until they send the browser back; says where to.
    pub fn walk(&self, start: &str, who: &str, back: &str) -> String {
        let mut page = self.get(start);
        for _ in 0..20 {
            page = match &page.to {
                Some(to) if to.starts_with(back) => return to.clone(),
                Some(to) => self.get(to),
                None => {
                    let action = page.url.join(between(&page.body, "action=\"", "\"")).unwrap();
                    let prompt = between(&page.body, "name=\"prompt\" value=\"", "\"");
                    self.post(action.as_str(), &[("prompt", prompt), ("login", who), ("password", "x")])
                }
            };
        }
        panic!("the provider never sends the browser back: {page:?}");
    }
}
