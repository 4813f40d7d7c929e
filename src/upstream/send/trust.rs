//! Which servers are believed: those with a certificate from an authority that the system or `ca.crt` trusts, and those
//! whose own certificate stands in `ca.crt`.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::VerifierBuilderError,
};

use super::proxy::Proxy;

/// Read once for the process, as they are many.
static SYSTEMS: OnceLock<Option<Arc<WebPkiServerVerifier>>> = OnceLock::new();

/// The system has no certificate authority that can be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "the system has no certificate authorities that can be used: install them (ca-certificates), or name their file in SSL_CERT_FILE"
)]
pub struct NoAuthorities;

/// The authorities that the system trusts, loaded once.
#[derive(Clone, Debug)]
pub struct System {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    /// The proxy, and the authorities that are believed about it alone.
    proxy: Option<(ServerName<'static>, Arc<Added>)>,
}

impl System {
    /// Loads them, and those for the `proxy`.
    ///
    /// # Errors
    /// [`NoAuthorities`], or what is wrong with the proxy's.
    pub fn load(proxy: Option<&Proxy>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let load = || {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            verifier(roots, &provider).ok()
        };
        let verifier = SYSTEMS.get_or_init(load).clone().ok_or(NoAuthorities)?;
        let proxy = proxy.and_then(|proxy| Some((proxy.host(), proxy.authorities.as_deref()?)));
        let proxy = proxy.map(|(host, authorities)| {
            let added = Added::read(authorities, &provider).map_err(|why| format!("--egress-proxy-ca-file {why}"))?;
            let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("--egress-proxy: no name: {host}"))?;
            Ok::<_, String>((name, Arc::new(added)))
        });
        Ok(Self { verifier, provider, proxy: proxy.transpose()? })
    }

    /// How to speak TLS: with the servers that the system trusts, and those that the PEM `bundle` adds.
    ///
    /// # Errors
    /// What is wrong with the bundle, for people.
    pub fn config(&self, bundle: Option<&str>) -> Result<ClientConfig, &'static str> {
        let added = bundle.map(|bundle| Added::read(bundle, &self.provider)).transpose()?;
        let trust = Trust { system: self.clone(), added };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| "cannot be used with this version of TLS")?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build()
}

/// What a bundle adds.
#[derive(Debug)]
struct Added {
    /// Its certificates as authorities.
    verifier: Arc<WebPkiServerVerifier>,
    /// Its certificates as servers' own.
    certificates: Vec<CertificateDer<'static>>,
}

impl Added {
    fn read(bundle: &str, provider: &Arc<CryptoProvider>) -> Result<Self, &'static str> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bundle.as_bytes()).collect();
        let certificates = certificates.map_err(|_| "holds a certificate that is not valid PEM")?;
        if certificates.is_empty() {
            return Err("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|_| "holds a certificate that cannot be used")?;
        }
        let verifier = verifier(roots, provider).map_err(|_| "holds a certificate that cannot be used")?;
        Ok(Self { verifier, certificates })
    }
}

/// Who is believed by one client.
#[derive(Debug)]
struct Trust {
    system: System,
    added: Option<Added>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let by_system = verify(&self.system.verifier);
        let of_proxy = self.system.proxy.as_ref().filter(|(name, _)| name == server_name).map(|(_, added)| &**added);
        let added = of_proxy.or(self.added.as_ref());
        let (Err(_), Some(added)) = (&by_system, added) else { return by_system };
        match verify(&added.verifier) {
            // Its time has been checked before its issuer and its purpose; a certificate as `openssl req -x509` makes it
            // says that it is an authority's.
            Err(Error::InvalidCertificate(why)) if is_of_issuer(&why) && added.certificates.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            by_added => by_added,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.verifier.supported_verify_schemes()
    }
}

/// Whether a certificate is refused for who issued it or for what it says it is for, and not for its time or its names.
fn is_of_issuer(why: &CertificateError) -> bool {
    matches!(
        why,
        CertificateError::UnknownIssuer
            | CertificateError::InvalidPurpose
            | CertificateError::InvalidPurposeContext { .. }
            | CertificateError::Other(_)
    )
}
