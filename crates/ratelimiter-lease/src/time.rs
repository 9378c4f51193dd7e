use std::ops::{Add, Sub};
use std::time::Duration;

/// An instant on one clock, in microseconds since that clock's origin. The two clocks have two
/// types, so that an instant of one is never compared with an instant of the other: the protocol
/// needs no agreement between them.
macro_rules! instant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The instant this many microseconds after the clock's origin.
            pub const fn from_micros(micros: u64) -> Self {
                Self(micros)
            }

            /// Microseconds since the clock's origin.
            pub const fn micros(self) -> u64 {
                self.0
            }

            /// Time since an earlier instant of the same clock; zero when that one is later.
            pub const fn since(self, earlier: Self) -> Duration {
                Duration::from_micros(self.0.saturating_sub(earlier.0))
            }
        }

        impl Add<Duration> for $name {
            type Output = Self;

            fn add(self, span: Duration) -> Self {
                Self(self.0.saturating_add(micros(span)))
            }
        }

        impl Sub<Duration> for $name {
            type Output = Self;

            /// Stops at the clock's origin.
            fn sub(self, span: Duration) -> Self {
                Self(self.0.saturating_sub(micros(span)))
            }
        }
    };
}

instant! {
    /// An instant on the store's clock.
    StoreTime
}
instant! {
    /// An instant on one node's monotonic clock.
    NodeTime
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
