//! JSON-RPC text: reads the envelope without building a tree, edits single members by emitting slices of the original
//! bytes. Owns no I/O and knows neither tenants nor upstreams.

use bytes::Bytes;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Why a text cannot be edited safely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("not JSON: {0}")]
    Json(String),
    #[error("`{0}` is not an object")]
    NotObject(String),
    /// Parsers differ in which of the two they believe.
    #[error("key `{0}` stands there twice")]
    Duplicate(String),
    /// Some parsers ignore case, so this could override ours.
    #[error("key `{found}` reads as `{meant}` to some parsers")]
    Ambiguous { found: String, meant: String },
}

/// One member of an object, as places in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Unescaped.
    pub key: Cow<'a, str>,
    /// Where the quoted key begins.
    start: usize,
    value: Range<usize>,
}

impl Member<'_> {
    /// The value's own text.
    pub fn text<'s>(&self, source: &'s str) -> &'s str {
        &source[self.value.clone()]
    }

    /// Where the value stands.
    pub fn place(&self) -> Range<usize> {
        self.value.clone()
    }

    fn kept(self) -> Member<'static> {
        let usual = USUAL_KEYS.iter().find(|usual| **usual == self.key);
        let key = usual.map_or_else(|| Cow::Owned(self.key.into_owned()), |usual| Cow::Borrowed(*usual));
        Member { key, start: self.start, value: self.value }
    }
}

/// Keys of the messages that pass most: these need no memory of their own.
const USUAL_KEYS: [&str; 8] = ["jsonrpc", "id", "method", "params", "name", "uri", "arguments", "_meta"];

/// What was read of an object, apart from its text: where its members stand, and those of one of them.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    members: Vec<Member<'static>>,
    /// The place among the members, and what was read there.
    inside: Option<(usize, Vec<Member<'static>>)>,
}

impl Shape {
    /// Keeps the `members` of an object, and of the object that stands under `key` those `inside` it.
    pub fn new(members: Vec<Member<'_>>, key: &str, inside: Vec<Member<'_>>) -> Self {
        let at = members.iter().position(|member| member.key == key);
        let kept = |members: Vec<Member<'_>>| members.into_iter().map(Member::kept).collect();
        Self { inside: at.map(|at| (at, kept(inside))), members: kept(members) }
    }

    /// As [`splice`], of the text that this was read of.
    pub fn splice(&self, source: &str, edits: &[Edit<'_>], out: &mut String) -> Result<(), WireError> {
        write_object(source, &self.members, self.inside.as_ref(), edits, out)
    }
}

/// The members of the JSON object `source`, in order; duplicate keys (after unescaping) are refused.
pub fn members(source: &str) -> Result<Vec<Member<'_>>, WireError> {
    members_within(source, None).map(|(members, _)| members)
}

/// As [`members`]; of an object that stands under `key`, its members as well, their places counted from its own start and
/// not [`unique`] perhaps. None of them: read it by itself.
pub fn members_within<'s>(source: &'s str, key: Option<&str>) -> Result<(Vec<Member<'s>>, Vec<Member<'s>>), WireError> {
    let mut text = serde_json::Deserializer::from_str(source);
    let mut inside = Vec::new();
    let read = Read { source, start: 0, within: key.map(|key| (key, &mut inside)) };
    let read = read.deserialize(&mut text).and_then(|read| text.end().map(|()| read));
    let members = read.map_err(|e| WireError::Json(e.to_string()))?;
    unique(&members)?;
    Ok((members, inside))
}

/// Refuses a key that stands there twice (after unescaping).
pub fn unique(members: &[Member<'_>]) -> Result<(), WireError> {
    duplicate(members).map_or(Ok(()), |key| Err(WireError::Duplicate(key.to_owned())))
}

/// A key that stands there twice, if one does: few are looked through, many are hashed.
fn duplicate<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    const FEW: usize = 12;
    let mut keys = members.iter().map(|member| &*member.key).enumerate();
    if members.len() <= FEW {
        return keys.find(|(at, key)| members[..*at].iter().any(|before| before.key == *key)).map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(members.len());
    keys.find(|(_, key)| !seen.insert(*key)).map(|(_, key)| key)
}

/// True if more than `most` lists and objects lie in each other. No recursion; the text need not be valid.
pub fn is_deeper(text: &str, most: u32) -> bool {
    // Most texts have fewer of them in all, which is counted many bytes at a time.
    let opened = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if opened <= most as usize {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Bodies of at most so many bytes are copied, see [`apart`].
pub const SMALL: usize = 4 << 10;

/// A body on its own: a small one is copied, so that the connection whose buffer it lay in can use that again.
pub fn apart(body: Bytes) -> Bytes {
    if body.len() > SMALL { body } else { Bytes::copy_from_slice(&body) }
}

/// The text of a JSON string; `None` if it is none (or not valid Unicode once unescaped).
pub fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !is_plain(inner) {
        return serde_json::from_str::<String>(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// `text` as a JSON string.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_quoted(text, &mut out);
    out
}

fn push_quoted(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // A string is always JSON: there is no error to see.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// True if it stands in a JSON string as it is (RFC 8259, section 7).
fn is_plain(text: &str) -> bool {
    // Without a way out, so that many bytes are looked at at once.
    text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

/// Reads an object's members as places in the text.
struct Read<'s, 'r> {
    /// The whole text.
    source: &'s str,
    /// Where in it the object begins; its members' places are counted from there.
    start: usize,
    /// The key of an object that is to be read as well, and where its members go.
    within: Option<(&'r str, &'r mut Vec<Member<'s>>)>,
}

impl<'de> DeserializeSeed<'de> for Read<'de, '_> {
    type Value = Vec<Member<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Read<'de, '_> {
    type Value = Vec<Member<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        const USUAL: usize = 8;
        let mut members = Vec::with_capacity(USUAL);
        let mut end = self.start;
        while let Some(Key(key)) = map.next_key()? {
            // Between two members there are spaces and a comma.
            let start = end + self.source[end..].bytes().position(|byte| byte == b'"').unwrap_or_default();
            let value = match self.object_under(&key) {
                Some((object, inside)) => {
                    *inside = map.next_value_seed(Read { source: self.source, start: object, within: None })?;
                    let last = inside.last().map_or(object + 1, |member| object + member.value.end);
                    object..last + self.source[last..].bytes().position(|byte| byte == b'}').unwrap_or_default() + 1
                }
                None => place(self.source, map.next_value::<&RawValue>()?.get()),
            };
            end = value.end;
            members.push(Member { key, start: start - self.start, value: value.start - self.start..end - self.start });
        }
        Ok(members)
    }
}

impl<'s, 'r> Read<'s, 'r> {
    /// Where the object under this key begins, if its members are wanted and the key stands there as it is; taken once.
    fn object_under(&mut self, key: &Cow<'s, str>) -> Option<(usize, &'r mut Vec<Member<'s>>)> {
        let Cow::Borrowed(plain) = key else { return None };
        self.within.as_ref().filter(|(wanted, _)| wanted == plain)?;
        let behind = place(self.source, plain).end;
        let colon = behind + self.source[behind..].find(':')? + 1;
        let object = colon + self.source[colon..].bytes().position(|byte| !byte.is_ascii_whitespace())?;
        self.source[object..].starts_with('{').then_some(())?;
        self.within.take().map(|(_, inside)| (object, inside))
    }
}

/// A key, borrowed where it stands there as it is.
struct Key<'s>(Cow<'s, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        d.deserialize_str(Text)
    }
}

/// Where `part`, a slice of `whole`, lies in it.
fn place(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// A change of one member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    pub key: Cow<'a, str>,
    pub change: Change<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Leave it, but refuse other spellings of its key.
    Keep,
    Remove,
    /// JSON text; replaces or adds.
    Set(Cow<'a, str>),
    /// JSON text; adds where the key is missing.
    Default(Cow<'a, str>),
    /// Edits inside the object that stands there; it is added where missing or null, unless nothing would be in it.
    Within(Vec<Edit<'a>>),
}

impl<'a> Edit<'a> {
    pub fn new(key: impl Into<Cow<'a, str>>, change: Change<'a>) -> Self {
        Self { key: key.into(), change }
    }

    pub fn set(key: impl Into<Cow<'a, str>>, json: impl Into<Cow<'a, str>>) -> Self {
        Self::new(key, Change::Set(json.into()))
    }
}

/// Writes the object `source` with `edits` applied to `out`; every byte that no edit names is kept as it is.
pub fn splice(source: &str, edits: &[Edit<'_>], out: &mut String) -> Result<(), WireError> {
    write_object(source, &members(source)?, None, edits, out)
}

/// `inside`: what was read already of the member at that place.
fn write_object(
    source: &str,
    members: &[Member<'_>],
    inside: Option<&(usize, Vec<Member<'static>>)>,
    edits: &[Edit<'_>],
    out: &mut String,
) -> Result<(), WireError> {
    let Some(open) = source.find('{') else {
        return Err(WireError::NotObject("message".to_owned()));
    };
    let head = members.first().map_or(open + 1, |m| m.start);
    let tail = members.last().map_or(open + 1, |m| m.value.end);
    out.push_str(&source[..head]);
    let mut any = false;
    for (at, member) in members.iter().enumerate() {
        let change = change_of(member, edits)?;
        if matches!(change, Some(Change::Remove)) {
            continue;
        }
        if any {
            out.push_str(&source[members[at - 1].value.end..member.start]);
        }
        any = true;
        out.push_str(&source[member.start..member.value.start]);
        let known = inside.filter(|(place, _)| *place == at).map(|(_, members)| &**members);
        write_value(&member.key, member.text(source), known, change, out)?;
    }
    for edit in edits.iter().filter(|e| !members.iter().any(|m| m.key == e.key)) {
        any |= write_new(edit, any, out);
    }
    out.push_str(&source[tail..]);
    Ok(())
}

/// What becomes of a member that stands there.
fn change_of<'e>(member: &Member<'_>, edits: &'e [Edit<'e>]) -> Result<Option<&'e Change<'e>>, WireError> {
    match edits.iter().find(|edit| reads_as(&member.key, &edit.key)) {
        Some(edit) if edit.key != member.key => {
            Err(WireError::Ambiguous { found: member.key.clone().into_owned(), meant: edit.key.clone().into_owned() })
        }
        edit => Ok(edit.map(|edit| &edit.change)),
    }
}

fn write_value(
    key: &str,
    text: &str,
    known: Option<&[Member<'static>]>,
    change: Option<&Change<'_>>,
    out: &mut String,
) -> Result<(), WireError> {
    match change {
        Some(Change::Set(json)) => out.push_str(json),
        Some(Change::Within(edits)) if text == "null" => drop(write_all(edits, out)),
        Some(Change::Within(_)) if !text.starts_with('{') => return Err(WireError::NotObject(key.to_owned())),
        Some(Change::Within(edits)) => match known {
            Some(members) => write_object(text, members, None, edits, out)?,
            None => splice(text, edits, out)?,
        },
        Some(Change::Keep | Change::Remove | Change::Default(_)) | None => out.push_str(text),
    }
    Ok(())
}

/// Writes an object of what `edits` add where nothing is; false if it is empty.
fn write_all(edits: &[Edit<'_>], out: &mut String) -> bool {
    out.push('{');
    let any = edits.iter().fold(false, |any, edit| any | write_new(edit, any, out));
    out.push('}');
    any
}

/// Writes what `edit` adds where nothing is, behind a comma if need be; false if that is nothing.
fn write_new(edit: &Edit<'_>, comma: bool, out: &mut String) -> bool {
    let before = out.len();
    if comma {
        out.push(',');
    }
    push_quoted(&edit.key, out);
    out.push(':');
    let written = match &edit.change {
        Change::Keep | Change::Remove => false,
        Change::Set(json) | Change::Default(json) => {
            out.push_str(json);
            true
        }
        Change::Within(edits) => write_all(edits, out),
    };
    if !written {
        out.truncate(before);
    }
    written
}

/// True if some JSON parser in use takes `found` for `meant` (Go's ignores case, by simple Unicode folding).
fn reads_as(found: &str, meant: &str) -> bool {
    if found.is_ascii() {
        return found.eq_ignore_ascii_case(meant);
    }
    let fold = |text: &str| -> String {
        text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ſ' { 's' } else { c }).collect()
    };
    fold(found) == fold(meant)
}

/// An upstream's message, borrowed.
#[derive(Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// `None` if it is no JSON-RPC message: neither method nor id nor error.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let envelope: Self = serde_json::from_slice(line).ok()?;
        let says = envelope.method.is_some() || envelope.id.is_some() || envelope.error.is_some();
        says.then_some(envelope)
    }

    /// Our own request id, if this answers one.
    pub fn answers(&self) -> Option<u64> {
        if self.method.is_some() {
            return None;
        }
        // A server that turns numbers into texts or floats is met halfway.
        let id = self.id?.get();
        id.trim_matches('"').parse().or_else(|_| id.strip_suffix(".0").unwrap_or(id).parse()).ok()
    }
}

/// A JSON-RPC error object.
#[derive(Debug, Deserialize)]
pub struct ErrorObject<'a> {
    #[serde(default)]
    pub code: i64,
    #[serde(default, borrow)]
    pub message: Cow<'a, str>,
    #[serde(default, borrow)]
    pub data: Option<&'a RawValue>,
}

impl<'a> ErrorObject<'a> {
    /// Reads `error`; what is no such object becomes the message.
    pub fn read(error: &'a str) -> Self {
        serde_json::from_str(error).unwrap_or(Self { code: 0, message: Cow::Borrowed(error), data: None })
    }
}

/// A request of our own; `params` is JSON text.
pub fn request(id: u64, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{params}}}"#, quote(method))
}

/// A notification of our own; `params` is JSON text.
pub fn notification(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":{},"params":{params}}}"#, quote(method))
}

/// An error answer; `id` is the caller's, as JSON text.
pub fn error_body(id: &str, code: i64, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{}}}}}"#, quote(message))
}

/// A line break would end the message on a line-based wire. In JSON it can only be white space, so a space says the same.
pub fn to_one_line(message: &mut [u8]) {
    for byte in message.iter_mut().filter(|b| matches!(b, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// The id of a message of which only the two ends are left, if one of them shows it.
pub fn id_of_scraps(head: &[u8], tail: &[u8]) -> Option<u64> {
    struct Find<'f>(&'f mut Option<u64>);
    impl<'de> Visitor<'de> for Find<'_> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if key == "id" {
                    *self.0 = map.next_value()?;
                } else {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
            Ok(())
        }
    }
    let mut found = None;
    // It ends in an error, where the head was cut off; what was found until then stands.
    let _ = serde_json::Deserializer::from_slice(head).deserialize_map(Find(&mut found));
    found.or_else(|| {
        let tail = String::from_utf8_lossy(tail);
        let rest = tail.trim_end().strip_suffix('}')?.trim_end();
        let before = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        before.trim_end().strip_suffix(':')?.trim_end().strip_suffix("\"id\"")?.trim_end().strip_suffix(',')?;
        rest[before.len()..].parse().ok()
    })
}

#[cfg(test)]
mod tests;
