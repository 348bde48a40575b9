//! A sink that posts alerts as JSON over HTTP.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::{Alert, AlertSink, SinkError};

/// Why a webhook cannot be set up. Its texts never show the URL's path or a header's value, which may be secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidWebhook {
    /// The text is no absolute URL that begins with `http://` or `https://`.
    Url,
    /// The URL holds a user or a password; they belong in a header.
    Credentials,
    /// The name or the value of a header has characters that HTTP does not allow.
    Header {
        /// The name as it was given.
        name: String,
    },
    /// `https`: the system has no certificates that could be trusted.
    NoRootCertificates,
}

impl fmt::Display for InvalidWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("a webhook is an absolute URL that begins with http:// or https://"),
            Self::Credentials => {
                f.write_str("a webhook's URL holds no user: give the header `authorization`")
            }
            Self::Header { name } => write!(f, "the header {name:?} has characters that HTTP does not allow"),
            Self::NoRootCertificates => f.write_str("the system has no root certificates to trust"),
        }
    }
}

impl std::error::Error for InvalidWebhook {}

/// Posts each alert as a JSON object ([`Alert`] shows its fields) to a URL, on a connection of its own.
///
/// A status of 2xx means taken; any other, a redirect too, is a failure. An alert is posted once: what fails is logged and
/// counted. How long it may take is the worker's [`timeout`](super::AlertOptions::timeout). With `https` the system's root
/// certificates are trusted.
#[derive(Clone)]
pub struct Webhook {
    uri: Uri,
    host: String,
    port: u16,
    headers: HeaderMap,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Webhook {
    /// A webhook of a URL with `http` or `https`.
    ///
    /// # Errors
    /// [`InvalidWebhook`] says what is wrong with it. Nothing is connected yet.
    pub fn new(url: impl AsRef<str>) -> Result<Self, InvalidWebhook> {
        let uri: Uri = url.as_ref().parse().map_err(|_| InvalidWebhook::Url)?;
        let authority = uri.authority().ok_or(InvalidWebhook::Url)?;
        if authority.as_str().contains('@') {
            return Err(InvalidWebhook::Credentials);
        }
        // A literal address of version 6 stands in brackets, which belong to the URL alone.
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => {
                let name = ServerName::try_from(host.clone()).map_err(|_| InvalidWebhook::Url)?;
                (Some((tls()?, name)), 443)
            }
            _ => return Err(InvalidWebhook::Url),
        };
        let port = authority.port_u16().unwrap_or(port);
        let mut headers = HeaderMap::new();
        let name = HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidWebhook::Url)?;
        headers.insert(HOST, name);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("task-retry"));
        Ok(Self {
            uri,
            host,
            port,
            headers,
            tls,
        })
    }

    /// Adds a header, in place of one with the same name: `authorization`, say.
    ///
    /// # Errors
    /// HTTP does not allow its name or value.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self, InvalidWebhook> {
        let (name, value) = (name.as_ref(), value.as_ref());
        let invalid = || InvalidWebhook::Header {
            name: name.to_owned(),
        };
        let key = HeaderName::try_from(name).map_err(|_| invalid())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        self.headers.insert(key, value);
        Ok(self)
    }

    /// A request with this body: `headers` over the webhook's own, and `segment`, if there is one, behind the path of its URL.
    ///
    /// # Errors
    /// HTTP does not allow a header, which the error names; or the path.
    pub fn request(
        &self,
        segment: Option<&str>,
        headers: &[(&str, String)],
        body: impl Into<Bytes>,
    ) -> Result<WebhookRequest, InvalidWebhook> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = match segment {
            Some(segment) => {
                let (path, query) = path.split_once('?').unwrap_or((path, ""));
                let mark = if query.is_empty() { "" } else { "?" };
                format!("{}/{segment}{mark}{query}", path.trim_end_matches('/'))
            }
            None => path.to_owned(),
        };
        let request = Request::post(path).body(Full::new(body.into()));
        let mut request = request.map_err(|_| InvalidWebhook::Url)?;
        *request.headers_mut() = self.headers.clone();
        for (name, value) in headers {
            let invalid = || InvalidWebhook::Header {
                name: (*name).to_owned(),
            };
            let key = HeaderName::try_from(*name).map_err(|_| invalid())?;
            let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
            request.headers_mut().insert(key, value);
        }
        Ok(WebhookRequest(request))
    }

    /// Sends a request on a connection of its own and answers the status. It takes as long as the server does: a caller who
    /// does not want that drops the call, after which the server may have taken the request or not.
    ///
    /// # Errors
    /// There was no connection, or no answer.
    pub async fn send(&self, request: WebhookRequest) -> Result<u16, SinkError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let status = match &self.tls {
            None => post(stream, request.0).await?,
            Some((tls, name)) => post(tls.connect(name.clone(), stream).await?, request.0).await?,
        };
        Ok(status.as_u16())
    }
}

/// A request of a [`Webhook`], checked and not sent yet.
pub struct WebhookRequest(Request<Full<Bytes>>);

/// Shows neither path nor headers nor body.
impl fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookRequest")
    }
}

/// The host only: the path of a webhook is often its secret.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn tls() -> Result<TlsConnector, InvalidWebhook> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(InvalidWebhook::NoRootCertificates);
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| InvalidWebhook::NoRootCertificates)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[async_trait]
impl AlertSink for Webhook {
    async fn deliver(&self, alert: &Alert) -> Result<(), SinkError> {
        let status = self.send(self.request(None, &[], alert.to_json())?).await?;
        let status = StatusCode::from_u16(status)?;
        if status.is_success() {
            return Ok(());
        }
        Err(format!("the webhook answered {status}").into())
    }
}

/// Sends one request; the connection is driven here and ends with the call.
async fn post(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, SinkError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            // The server closed behind its answer.
            answer.await
        }
    };
    Ok(answer?.status())
}
