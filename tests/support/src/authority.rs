//! The certificate authority that the API server and its clients trust each other by.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::{Error, scratch::write};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("cloudop-testbed", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, certificate })
    }

    /// Writes the authority's own certificate.
    pub fn write_certificate(&self, to: &Path) -> Result<(), Error> {
        write(to, &self.certificate)
    }

    /// Writes a certificate and a key for a server on loopback.
    pub fn write_server(&self, certificate: &Path, key: &Path) -> Result<(), Error> {
        let mut params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()])?;
        params.distinguished_name = named("kube-apiserver", None);
        self.write_leaf(params, ExtendedKeyUsagePurpose::ServerAuth, certificate, key)
    }

    /// Writes a certificate and a key that Kubernetes takes for `user`, a member of `group`
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates>).
    pub fn write_client(&self, user: &str, group: Option<&str>, certificate: &Path, key: &Path) -> Result<(), Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(user, group);
        self.write_leaf(params, ExtendedKeyUsagePurpose::ClientAuth, certificate, key)
    }

    fn write_leaf(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
        certificate: &Path,
        key: &Path,
    ) -> Result<(), Error> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let pair = KeyPair::generate()?;
        write(certificate, &params.signed_by(&pair, &self.issuer)?.pem())?;
        write(key, &pair.serialize_pem())
    }
}

/// Writes a key pair for signing the tokens of service accounts.
pub(crate) fn write_key_pair(private: &Path, public: &Path) -> Result<(), Error> {
    let pair = KeyPair::generate()?;
    write(private, &pair.serialize_pem())?;
    write(public, &pair.public_key_pem())
}

fn named(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}
