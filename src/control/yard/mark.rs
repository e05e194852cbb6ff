//! Whether we made a container. Labels alone prove nothing: whoever commits one of ours to an image hands its labels on to
//! all that is made from that, and `docker run --label` copies what it likes. So everything that we write must be there,
//! must agree, and the container must have the name that we give: of that an engine has one. Pure.
//!
//! What falls short is a stranger, which is never touched: better to leave one of ours that somebody renamed behind than
//! to remove what is not ours.

use crate::backend::docker::container_name;
use crate::backend::engine::Found;
use crate::control::launch::container::part_name;
use crate::model::container::labels;
use crate::model::{InstanceKey, text};

/// What a container was made as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark<'f> {
    Instance(InstanceKey),
    Part { stack: &'f str, part: &'f str },
}

impl<'f> Mark<'f> {
    /// `None`: it is not provably one of `platform`.
    pub fn of(found: &'f Found, platform: &str) -> Option<Self> {
        let label = |name: &str| found.labels.get(name).map(String::as_str).filter(|value| !value.is_empty());
        if label(labels::PLATFORM) != Some(platform) {
            return None;
        }
        let is_named = |name: String| (text::name(&name) == found.name).then_some(());
        if let (Some(stack), Some(part)) = (label(labels::STACK), label(labels::PART)) {
            label(labels::CONFIG)?;
            // One of the two is behind it.
            (label(labels::TENANT).is_some() != label(labels::SERVER).is_some()).then_some(())?;
            is_named(part_name(platform, stack, part))?;
            return Some(Self::Part { stack, part });
        }
        let key: InstanceKey = label(labels::INSTANCE)?.parse().ok()?;
        for told in [labels::DEFINITION, labels::BOOT, labels::SPEAKS] {
            label(told)?;
        }
        let agree = label(labels::SERVER) == Some(key.server.as_str())
            && label(labels::TENANT) == key.tenant.as_ref().map(|tenant| tenant.as_str());
        agree.then_some(())?;
        is_named(container_name(platform, &key))?;
        Some(Self::Instance(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;

    #[test]
    fn what_is_not_marked_as_we_mark_is_a_strangers() {
        use labels::{BOOT, CONFIG, DEFINITION, INSTANCE, PART, PLATFORM, SERVER, SPEAKS, STACK, TENANT};
        const OURS: [(&str, &str); 7] = [
            (PLATFORM, "test"),
            (INSTANCE, "git@eaton"),
            (SERVER, "git"),
            (TENANT, "eaton"),
            (BOOT, "1"),
            (SPEAKS, "stdio"),
            (DEFINITION, "ab12"),
        ];
        const PARTS: [(&str, &str); 5] =
            [(PLATFORM, "test"), (STACK, "models"), (PART, "vllm"), (TENANT, "eaton"), (CONFIG, "cd34")];
        let ours = ("mcpdeck-test-git-eaton", &OURS[..]);
        let part = ("mcpdeck-test-models-vllm", &PARTS[..]);
        for (case, (name, labels), forged, is_ours) in [
            ("ours", ours, None, true),
            ("from an image that was committed from ours", ("fervent_bell", ours.1), None, false),
            ("renamed", ("mcpdeck-test-git-eaton-old", ours.1), None, false),
            ("another platform's", ours, Some((PLATFORM, "prod")), false),
            ("of a tenant that its key does not name", ours, Some((TENANT, "bank")), false),
            ("without its tenant", ours, Some((TENANT, "")), false),
            ("of a server that its key does not name", ours, Some((SERVER, "mail")), false),
            ("without a definition", ours, Some((DEFINITION, "")), false),
            ("without a boot", ours, Some((BOOT, "")), false),
            ("without saying what it speaks", ours, Some((SPEAKS, "")), false),
            ("another's key", ours, Some((INSTANCE, "git@bank")), false),
            ("no key", ours, Some((INSTANCE, "@")), false),
            ("a part", part, None, true),
            ("a part from an image that was committed", ("vllm", part.1), None, false),
            ("a part without its config", part, Some((CONFIG, "")), false),
            ("a part of nobody", part, Some((TENANT, "")), false),
            ("a part of two", part, Some((SERVER, "git")), false),
            ("another part's name", part, Some((PART, "ocr")), false),
        ] {
            let mut found = fixture::found("c", labels);
            found.name = name.to_owned();
            found.labels.extend(forged.map(|(label, value)| (label.to_owned(), value.to_owned())));
            assert_eq!(Mark::of(&found, "test").is_some(), is_ours, "{case}");
        }
    }
}
