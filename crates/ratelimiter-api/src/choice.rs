/// A text that is none of the words of a [`choice!`](crate::choice).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {what}: use one of {}", .words.join(", "))]
pub struct ChoiceError {
    /// The setting.
    pub what: &'static str,
    /// The given text.
    pub value: String,
    /// The accepted words.
    pub words: Vec<&'static str>,
}

/// An enum whose variants are words: one table to list, parse, print and serialize them.
///
/// ```
/// ratelimiter_api::choice! {
///     /// Size of a shirt.
///     Size, "size" {
///         /// Fits children.
///         Small = "small",
///         /// Fits adults.
///         Large = "large",
///     }
/// }
/// assert_eq!("large".parse(), Ok(Size::Large));
/// assert_eq!(Size::ALL.map(Size::as_str), ["small", "large"]);
/// let error = "huge".parse::<Size>().unwrap_err().to_string();
/// assert_eq!(error, "\"huge\" is not a size: use one of small, large");
/// ```
#[macro_export]
macro_rules! choice {
    (
        $(#[$doc:meta])*
        $name:ident, $what:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every choice, in the order of the documentation.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// The word on the wire, on the command line and on the screen.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::ChoiceError;

            fn from_str(text: &str) -> Result<Self, $crate::ChoiceError> {
                let choice = Self::ALL.into_iter().find(|choice| choice.as_str() == text);
                choice.ok_or_else(|| $crate::ChoiceError {
                    what: $what,
                    value: text.to_owned(),
                    words: Self::ALL.map(Self::as_str).to_vec(),
                })
            }
        }
    };
}
