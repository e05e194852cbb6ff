//! What our containers are called. Pure.

use crate::model::InstanceKey;
use aws_lc_rs::digest::{SHA256, digest};

/// Bytes of a hash that are written.
const HASH: usize = 16;

/// `mcpdeck-PLATFORM-SERVER-TENANT-SESSION`.
pub fn container_name(platform: &str, key: &InstanceKey) -> String {
    let wanted = format!("mcpdeck-{platform}-{key}");
    let name: String = wanted.chars().map(|c| if is_nameable(c) { c } else { '-' }).collect();
    // Letters that no engine takes would make two keys one name: those get a hash behind.
    match wanted.chars().all(|c| is_nameable(c) || matches!(c, '@' | '#')) {
        true => name,
        false => format!("{name}-{}", &hash(wanted.as_bytes())[..8]),
    }
}

fn is_nameable(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().take(HASH).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_an_engine_takes() {
        let cases = [
            ("git", "mcpdeck-prod-git"),
            ("git@eaton", "mcpdeck-prod-git-eaton"),
            ("git@eaton#3", "mcpdeck-prod-git-eaton-3"),
            ("git_2@a.b", "mcpdeck-prod-git_2-a.b"),
        ];
        for (key, name) in cases {
            assert_eq!(container_name("prod", &key.parse().unwrap()), name);
        }
        let names = ["git@müller", "git@möller"].map(|key| container_name("prod", &key.parse().unwrap()));
        assert!(names[0].starts_with("mcpdeck-prod-git-m-ller-") && names[0].is_ascii(), "{}", names[0]);
        assert_ne!(names[0], names[1]);
    }
}
