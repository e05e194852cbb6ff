//! The gateway of the real program under callers who lie, stall, flood or are many, and before servers that fail.

mod boundary;
mod crowd;
mod faults;
mod forgery;
mod hostile;
mod line;
