//! Texts that are short as a rule: names of methods, tools and principals.

/// Up to 24 bytes lie in the value itself. Each call has several that outlive it on other threads: as memory of their own
/// they would be had on one core and given back on another, which costs more than all that is done with them.
pub use compact_str::CompactString as Short;
