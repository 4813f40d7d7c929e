//! The proxy that requests go through, where the controller's owner wants one.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// An HTTP proxy. It is asked for a tunnel to each host (CONNECT), so that it sees the names of the hosts and nothing of
/// what is said.
#[derive(Clone, Debug)]
pub struct Proxy {
    url: Url,
    /// The user's name and password.
    credentials: Option<(String, SecretString)>,
    /// PEM of the authorities that the certificate of an https:// proxy may be from.
    pub authorities: Option<String>,
}

/// A proxy that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProxy {
    /// The URL is no proxy's.
    #[error("{0:?} is not a URL such as http://proxy.example.com:3128")]
    Url(String),
    /// The URL holds what others may read on the command line.
    #[error(
        "the URL must not hold a user name or password; put them into a file, as user:password, for --egress-proxy-credentials-file"
    )]
    UserName,
    /// The credentials are no user name and password.
    #[error("the credentials file must hold one line, user:password")]
    Credentials,
}

impl Proxy {
    /// The proxy at `url`, `http://host:port` or `https://host:port`, with `credentials` such as `user:password`.
    ///
    /// # Errors
    /// [`BadProxy`]
    pub fn new(url: &str, credentials: Option<&str>, authorities: Option<String>) -> Result<Self, BadProxy> {
        let bad = || BadProxy::Url(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| bad())?;
        if !parsed.username().is_empty() || parsed.password().is_some() || url.contains('@') {
            return Err(BadProxy::UserName);
        }
        let is_plain = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none();
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() || !is_plain {
            return Err(bad());
        }
        let credentials = credentials.map(|line| {
            let (user, password) = line.trim_end_matches(['\r', '\n']).split_once(':').ok_or(BadProxy::Credentials)?;
            let is_usable = !user.is_empty() && !line.trim_end().contains(['\r', '\n']);
            is_usable.then(|| (user.to_owned(), password.into())).ok_or(BadProxy::Credentials)
        });
        Ok(Self { url: parsed, credentials: credentials.transpose()?, authorities })
    }

    /// Its host.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// As the client takes it.
    ///
    /// # Errors
    /// When the client cannot use the URL.
    pub fn intercept(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        let proxy = reqwest::Proxy::https(self.url.clone())?;
        Ok(match &self.credentials {
            Some((user, password)) => proxy.basic_auth(user, password.expose_secret()),
            None => proxy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("http://proxy:3128", None, None)]
    #[case("https://proxy.example.com", Some("me:it:has:colons\n"), None)]
    #[case("proxy:3128", None, Some(BadProxy::Url("proxy:3128".into())))]
    #[case("socks5://proxy:1080", None, Some(BadProxy::Url("socks5://proxy:1080".into())))]
    #[case("http://proxy:3128/path", None, Some(BadProxy::Url("http://proxy:3128/path".into())))]
    #[case("http://me:word@proxy:3128", None, Some(BadProxy::UserName))]
    #[case("http://proxy:3128", Some("nobody"), Some(BadProxy::Credentials))]
    #[case("http://proxy:3128", Some(":word"), Some(BadProxy::Credentials))]
    #[case("http://proxy:3128", Some("me:word\nyou:word"), Some(BadProxy::Credentials))]
    fn a_proxy_is_read_whole_or_refused(
        #[case] url: &str,
        #[case] credentials: Option<&str>,
        #[case] bad: Option<BadProxy>,
    ) {
        assert_eq!(Proxy::new(url, credentials, None).err(), bad);
    }
}
