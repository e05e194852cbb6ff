//! Maps on the way of a call: a call looks into a dozen, and the hasher of the standard library would take a sixth of
//! what the router does for it. Seeded at random for each process, as keys may be a caller's.

pub use foldhash::fast::RandomState;

/// A `HashMap` with a fast hasher.
pub type Map<K, V> = std::collections::HashMap<K, V, RandomState>;
