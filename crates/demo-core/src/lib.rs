//! A narrated chaos story: chapters, a pure state machine that plays them, and the events it emits.
