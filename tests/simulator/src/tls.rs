//! The simulator's own certificate authority, and what its listeners show of it.

use std::{io, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, crypto,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// Which certificate a listener shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shown {
    Valid,
    Expired,
    WrongHost,
    SelfSigned,
    SelfSignedCa,
    ExpiredSelfSignedCa,
    WrongHostSelfSignedCa,
}

impl Shown {
    fn is_ca(self) -> bool {
        matches!(self, Self::SelfSignedCa | Self::ExpiredSelfSignedCa | Self::WrongHostSelfSignedCa)
    }
}

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
    /// Names that certificates are for, beside localhost and its addresses.
    hosts: Vec<String>,
}

impl Authority {
    /// # Errors
    /// When key generation or signing fails.
    pub(crate) fn new(hosts: Vec<String>) -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "cloudop simulator CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        let pem = issuer.pem();
        Ok(Self { issuer, pem, hosts })
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// What accepts connections, and the certificate that it shows, as PEM.
    ///
    /// # Errors
    /// When the certificate can't be made or rustls refuses it.
    pub(crate) fn acceptor(&self, shown: Shown, protocols: &[&str]) -> io::Result<(TlsAcceptor, String)> {
        let names: Vec<String> = match shown {
            Shown::WrongHost | Shown::WrongHostSelfSignedCa => vec!["elsewhere.example".to_owned()],
            _ => ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter().chain(self.hosts.clone()).collect(),
        };
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params.distinguished_name.push(DnType::CommonName, "cloudop simulator");
        if shown.is_ca() {
            // `openssl req -x509` sets these, and no key usage at all.
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.use_authority_key_identifier_extension = true;
        } else {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
        if matches!(shown, Shown::Expired | Shown::ExpiredSelfSignedCa) {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = match shown {
            shown if shown == Shown::SelfSigned || shown.is_ca() => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        }
        .map_err(io::Error::other)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let acceptor = configure(certificate.der().clone(), key, protocols)?;
        Ok((acceptor, certificate.pem()))
    }
}

fn configure(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    protocols: &[&str],
) -> io::Result<TlsAcceptor> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(io::Error::other)?;
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
