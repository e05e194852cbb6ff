//! Passwords: hashed with argon2 off the runtime's threads, a few at a time; attempts are counted per person and address.
//! Must never keep or show a password.

use crate::model::principal::PasswordHash;
use crate::model::secret::Secret;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Passwords that are hashed at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Logins that wait for a place; more are told to come again.
const WAITING: usize = 64;
/// A person's attempts: so many at once, then one in so long.
const PER_PERSON: (u32, Duration) = (5, Duration::from_secs(12));
/// An address's attempts.
const PER_ADDRESS: (u32, Duration) = (20, Duration::from_secs(3));
/// People, and addresses, whose attempts are counted.
const COUNTED: usize = 50_000;
/// What an unknown person's password is compared with: the same work, and never right.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("the email or the password is wrong")]
    Wrong,
    #[error("too many attempts: try again in {} s", .0.as_secs().max(1))]
    TooOften(Duration),
    #[error("too many log in at once: try again")]
    Busy,
    #[error("nobody can log in: {0}")]
    NoTokens(String),
}

/// Hashes a password with a salt of its own: some 50 ms, never on a thread that must not wait.
pub fn hash(password: &Secret) -> Result<PasswordHash, String> {
    let hashed: Result<phc::PasswordHash, _> = Argon2::default().hash_password(password.expose().as_bytes());
    hashed.map(|hash| PasswordHash::new(hash.to_string())).map_err(|error| error.to_string())
}

fn matches(password: &Secret, hash: &str) -> bool {
    let hash = phc::PasswordHash::new(hash);
    hash.is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
}

/// Verifies passwords.
pub struct Passwords {
    places: Semaphore,
    room: Semaphore,
    people: Throttle<String>,
    addresses: Throttle<IpAddr>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            room: Semaphore::new(AT_ONCE + WAITING),
            people: Throttle::new(PER_PERSON),
            addresses: Throttle::new(PER_ADDRESS),
        }
    }
}

impl Passwords {
    /// Counts an attempt.
    pub fn admit(&self, email: &str, from: IpAddr) -> Result<(), LoginError> {
        self.addresses.admit(network(from))?;
        self.people.admit(email.to_owned())
    }

    /// Whether this is the password; as much work for nobody's.
    pub async fn verify(&self, password: Secret, kept: Option<PasswordHash>) -> Result<bool, LoginError> {
        let _room: SemaphorePermit<'_> = self.room.try_acquire().map_err(|_| LoginError::Busy)?;
        let _place = self.places.acquire().await.map_err(|_| LoginError::Busy)?;
        let work = move || {
            let hash = kept.as_ref().map_or(NOBODY, PasswordHash::expose);
            matches(&password, hash) && kept.is_some()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| LoginError::Busy)
    }
}

/// Whoever has one address of a home or an office has 2^64 of its version 6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Attempts by key; bounded.
struct Throttle<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, DefaultClock>,
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    fn new((burst, every): (u32, Duration)) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(every).unwrap_or(Quota::per_minute(burst)).allow_burst(burst);
        Self { limiter: RateLimiter::dashmap(quota) }
    }

    fn admit(&self, key: K) -> Result<(), LoginError> {
        if self.limiter.len() >= COUNTED {
            self.limiter.retain_recent();
            if self.limiter.len() >= COUNTED {
                return Err(LoginError::Busy);
            }
        }
        let wait = |not_until: governor::NotUntil<_>| not_until.wait_time_from(DefaultClock::default().now());
        self.limiter.check_key(&key).map_err(|not_until| LoginError::TooOften(wait(not_until)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_password_matches_and_nobody_costs_as_much() {
        let kept = hash(&secret("correct horse")).unwrap();
        assert!(kept.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "as NOBODY has it");
        assert_ne!(kept, hash(&secret("correct horse")).unwrap(), "each has a salt of its own");
        let passwords = Passwords::default();
        for (tried, kept, right) in [
            ("correct horse", Some(kept.clone()), true),
            ("correct hors", Some(kept), false),
            ("", Some(PasswordHash::new("broken".into())), false),
            ("correct horse", None, false),
        ] {
            assert_eq!(passwords.verify(secret(tried), kept).await, Ok(right), "{tried}");
        }
        assert!(phc::PasswordHash::new(NOBODY).is_ok_and(|hash| hash.hash.is_some()), "it is really computed");
    }

    #[test]
    fn attempts_run_out_per_person_and_per_network() {
        let passwords = Passwords::default();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..PER_PERSON.0 {
            assert_eq!(passwords.admit("ana", address(n)), Ok(()));
        }
        assert!(matches!(passwords.admit("ana", address(9)), Err(LoginError::TooOften(_))), "from wherever");
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        for n in 0..PER_ADDRESS.0 {
            let same_network = "2001:db8::ffff".parse().unwrap();
            let from = if n % 2 == 0 { six } else { same_network };
            assert_eq!(passwords.admit(&format!("p{n}"), from), Ok(()));
        }
        assert!(matches!(passwords.admit("another", six), Err(LoginError::TooOften(_))), "whoever");
        assert_eq!(passwords.admit("another", "2001:db8:0:1::1".parse().unwrap()), Ok(()));
    }

    #[tokio::test]
    async fn more_logins_than_there_is_room_for_are_told_to_come_again() {
        let passwords = Passwords::default();
        let _taken = passwords.room.acquire_many((AT_ONCE + WAITING) as u32).await.unwrap();
        assert_eq!(passwords.verify(secret("x"), None).await, Err(LoginError::Busy));
    }
}
