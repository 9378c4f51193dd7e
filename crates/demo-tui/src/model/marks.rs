//! The intervals and instants on the time axis.

use std::time::Duration;

use demo_core::{Mark, MarkEdge};
use outside_text::clean_line;

use super::chart::WINDOW;

/// Marks of the shown time, and of intervals that began before it and still go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimeMarks {
    spans: Vec<MarkSpan>,
}

/// A stretch of time with a name, or a moment when its ends are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MarkSpan {
    pub(crate) label: String,
    pub(crate) begin: Duration,
    /// `None` while it goes on.
    pub(crate) end: Option<Duration>,
}

impl MarkSpan {
    pub(crate) fn is_moment(&self) -> bool {
        self.end == Some(self.begin)
    }
}

impl TimeMarks {
    pub(crate) fn mark(&mut self, at: Duration, mark: &Mark) {
        self.spans
            .retain(|s| s.end.is_none_or(|end| end + WINDOW >= at));
        let label = clean_line(&mark.label);
        let open = self
            .spans
            .iter_mut()
            .rev()
            .find(|s| s.end.is_none() && s.label == label);
        match (mark.edge, open) {
            (MarkEdge::End, Some(open)) => open.end = Some(at),
            (MarkEdge::Begin, _) => self.spans.push(MarkSpan {
                label,
                begin: at,
                end: None,
            }),
            // An end without a beginning is shown as an instant.
            (MarkEdge::End | MarkEdge::Moment, _) => {
                self.spans.push(MarkSpan {
                    label,
                    begin: at,
                    end: Some(at),
                });
            }
        }
    }

    /// In the order in which they began.
    pub(crate) fn spans(&self) -> &[MarkSpan] {
        &self.spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn begin_and_end_make_one_span() {
        let mut marks = TimeMarks::default();
        let mut mark = |s, label: &str, edge| {
            marks.mark(
                secs(s),
                &Mark {
                    label: label.into(),
                    edge,
                },
            );
        };
        mark(1, "a", MarkEdge::Begin);
        mark(2, "b", MarkEdge::Begin);
        mark(3, "a", MarkEdge::End);
        mark(4, "c", MarkEdge::End);
        mark(200, "d", MarkEdge::Moment);
        let span = |label: &str, begin, end| MarkSpan {
            label: label.into(),
            begin: secs(begin),
            end,
        };
        assert_eq!(
            marks.spans(),
            [span("b", 2, None), span("d", 200, Some(secs(200)))]
        );
    }
}
