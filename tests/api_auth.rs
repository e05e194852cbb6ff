//! Who may call over HTTP, as whom, and how much: keys, tokens and logins over real sockets, beside a whole platform.

mod credentials;
mod limits;
mod login;
mod world;
