//! Signing: keys are made and read, an index is signed. Everything is in minisign's format, and minisign accepts it.
//! Where a password comes from is the program's business; checking signatures is in the crate `payload`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign::{KeyPair, SecretKeyBox};
use payload::index::Index;
use payload::{Digest, PublicKey, Trust, UNTRUSTED_COMMENT, check_signature, trusted_comment};

use crate::small_file;

/// Longer than any key, in bytes.
const LIMIT: u64 = 4096;
/// Where a secret key says how it is protected.
const PROTECTION: std::ops::Range<usize> = 2..4;
const SECRET_BYTES: usize = 158;
const CHECKSUM_BYTES: usize = 32;

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} cannot be used: {problem}", path.display())]
    Key { path: PathBuf, problem: String },
    #[error("no password for {}: {problem}", path.display())]
    Password { path: PathBuf, problem: String },
    #[error("cannot sign: {0}")]
    Sign(String),
}

impl SignError {
    /// The exit code, see DESIGN §7.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => 41,
            Self::Password { .. } => 2,
            Self::Key { .. } => 11,
            Self::Read { .. } | Self::Write { .. } | Self::Sign(_) => 44,
        }
    }

    /// What to type next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "name a key: `builder keygen FILE` makes one",
            Self::Write { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                "a key is never overwritten: name another file"
            }
            Self::Write { .. } => "name a file in a directory that is writable",
            Self::Key { .. } => "take the secret key that `builder keygen` or `minisign -G` made, and its password",
            Self::Password { .. } => "type it when asked on a terminal, or use --password-file FILE",
            Self::Sign(_) => "run the same command again",
        }
    }
}

/// A secret key that is ready to sign, and its public one.
pub struct Signer {
    secret: minisign::SecretKey,
    public: PublicKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.public.fmt(f)
    }
}

impl Signer {
    /// Reads a secret key; `password` is asked only when it is protected by one.
    ///
    /// # Errors
    /// [`SignError`]: it cannot be read, is no key, or has another password.
    pub fn read(path: &Path, password: impl FnOnce() -> Result<String, SignError>) -> Result<Self, SignError> {
        let text =
            small_file::read_text(path, LIMIT).map_err(|source| SignError::Read { path: path.to_owned(), source })?;
        let unusable = |problem: &str| SignError::Key { path: path.to_owned(), problem: problem.to_owned() };
        let encoded = text.lines().nth(1).unwrap_or_default().trim_end();
        let bytes = STANDARD.decode(encoded).ok().filter(|bytes| bytes.len() == SECRET_BYTES);
        let bytes = bytes.ok_or_else(|| unusable("it is no secret key of minisign"))?;
        let sealed = SecretKeyBox::from(format!("untrusted comment: \n{encoded}\n"));
        let secret = match bytes.get(PROTECTION) {
            // Minisign leaves the checksum of a key without a password empty; what such a key signs is checked.
            Some([0, 0]) if bytes.ends_with(&[0; CHECKSUM_BYTES]) => {
                minisign::SecretKey::from_bytes(&bytes).map_err(|_| unusable("it is damaged"))?
            }
            Some([0, 0]) => sealed.into_unencrypted_secret_key().map_err(|_| unusable("it is damaged"))?,
            Some(b"Sc") => {
                let opened = sealed.into_secret_key(Some(password()?));
                opened.map_err(|error| {
                    unusable(match error.kind() {
                        minisign::ErrorKind::Verify => "the password is wrong",
                        _ => "it is protected in a way that is not known here",
                    })
                })?
            }
            _ => return Err(unusable("it is protected in a way that is not known here")),
        };
        let public = minisign::PublicKey::from_secret_key(&secret).map_err(|_| unusable("it is damaged"))?;
        let public = public_key(&public).map_err(|problem| unusable(&problem))?;
        Ok(Self { secret, public })
    }

    /// The key that checks what this one signs.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The file `index.json.minisig`.
    pub(crate) fn sign(&self, index: &Index, json: &[u8]) -> Result<Vec<u8>, SignError> {
        let comment = trusted_comment(&index.package, Digest::of(json));
        let signed = minisign::sign(None, &self.secret, json, Some(&comment), Some(UNTRUSTED_COMMENT));
        let text = signed.map_err(|error| SignError::Sign(error.to_string()))?.into_string();
        let file = format!("{}\n", text.trim_end()).into_bytes();
        let trust = Trust { trusted: vec![self.public.clone()], revoked: Vec::new() };
        check_signature(&trust, json, Some(&file))
            .map_err(|_| SignError::Sign("the two halves of the secret key do not belong together".to_owned()))?;
        Ok(file)
    }
}

fn public_key(key: &minisign::PublicKey) -> Result<PublicKey, String> {
    let text = key.to_box().map_err(|error| error.to_string())?.into_string();
    PublicKey::from_text(text.as_bytes()).map_err(|error| error.to_string())
}

/// The name of the public key's file, beside that of the secret one.
pub fn public_path(secret: &Path) -> PathBuf {
    match secret.extension() {
        Some(extension) if extension == "key" => secret.with_extension("pub"),
        _ => {
            let mut name = secret.as_os_str().to_owned();
            name.push(".pub");
            PathBuf::from(name)
        }
    }
}

/// Makes a pair of keys: the secret one at `path`, for its owner alone, the public one beside it. Neither is written over
/// a file that is there.
///
/// # Errors
/// [`SignError::Write`]; then neither file was made.
pub fn generate(path: &Path, password: Option<String>) -> Result<PublicKey, SignError> {
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let pair = pair.map_err(|error| SignError::Sign(error.to_string()))?;
    let public = public_key(&pair.pk).map_err(SignError::Sign)?;
    let secret = pair.sk.to_box(Some("minisign secret key, made by the builder of airgap-deploy"));
    let secret = secret.map_err(|error| SignError::Sign(error.to_string()))?.into_string();
    let text = format!("untrusted comment: minisign public key {}\n{}\n", public.id(), public.base64());
    let beside = public_path(path);
    create(&beside, 0o644, text.as_bytes())?;
    if let Err(error) = create(path, 0o600, secret.as_bytes()) {
        let _made_a_moment_ago = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(public)
}

fn create(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), SignError> {
    let failed = |source| SignError::Write { path: path.to_owned(), source };
    let mut file = fs::File::options().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}
