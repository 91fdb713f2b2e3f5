//! `builder keygen`: a pair of keys that sign packages.
//! Making them is the library's `signing`; how a machine comes to trust one is in `docs/trust.md`.

use builder::signing::{generate, public_path};
use payload::words_of_key;
use serde_json::json;

use super::cli::KeygenArgs;
use super::output::{print_json, say};
use super::{Failure, password};

pub fn keygen(args: &KeygenArgs) -> Result<(), Failure> {
    let public_file = public_path(&args.file);
    for path in [&args.file, &public_file] {
        // Before anybody types a password.
        if path.symlink_metadata().is_ok() {
            let what = format!("{} is there already, and a key is never overwritten", path.display());
            return Err(Failure::new(44, what, "name another file"));
        }
    }
    let password =
        if args.no_password { None } else { Some(password::new(&args.file, args.password_file.as_deref())?) };
    let key = generate(&args.file, password)?;
    let words = words_of_key(&key);
    if args.out.json {
        print_json(&json!({
            "keygen": 1,
            "secret_key": args.file.display().to_string(),
            "public_key": public_file.display().to_string(),
            "key_id": key.id().to_string(),
            "fingerprint": key.fingerprint().to_string(),
            "words": words,
        }));
    }
    say(args.out, &format!("wrote {} (keep it secret) and {}", args.file.display(), public_file.display()));
    say(args.out, &format!("key id      {}", key.id()));
    say(args.out, &format!("fingerprint {}", key.fingerprint()));
    say(args.out, &format!("in words    {words}"));
    let name = public_file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    say(
        args.out,
        &format!(
            "next: builder --sign-key {} …; carry {name} to the target, compare the words, and put it into \
             /etc/airgap-deploy/trusted-keys/",
            args.file.display()
        ),
    );
    Ok(())
}
