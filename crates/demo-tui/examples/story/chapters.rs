//! The story.

use std::time::Duration;

use demo_core::{Chapter, Event, MarkEdge, Stage, Tone};
use tokio::time::{interval, sleep, timeout};

use crate::water::{PUMP, Water, Works};

/// The options of the story.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) fault: Duration,
    pub(crate) countdown: u32,
}

pub(crate) fn chapters(works: &Works, plan: Plan) -> Vec<Chapter> {
    vec![
        Chapter::new(
            "Welcome",
            "Three tanks hang on one pipe. A pump fills the pipe, taps empty the tanks, and meters \
             at pump and taps keep the books: what should be in the tanks.\n\n\
             In the next minutes we shut a valve, and later we push more water through the pipe \
             than it was made for. Watch `in all` and `by the books` part.",
        )
        .key_hint("look at the tanks"),
        Chapter::new(
            "The tanks",
            "All three tanks are there, the pipe is connected, and the books agree with the \
             gauges. This is the steady state: as much water arrives as is tapped.",
        )
        .key_hint("measure"),
        steady(works),
        valve(works, plan),
        detection(works),
        diagnosis(works),
        recovery(works),
        surge(works, plan),
        floor(works),
        Chapter::new(
            "The end",
            "A shut valve hides water, a surge loses it. Both look alike in the books: only the \
             second chart tells them apart.",
        )
        .key_hint("finish"),
    ]
}

fn steady(works: &Works) -> Chapter {
    Chapter::new(
        "Steady state",
        "Two seconds of measuring, so that we know what normal is.",
    )
    .auto_advance()
    .on_enter_with(works.clone(), |stage, works| async move {
        stage.status("measuring", Some(Duration::from_secs(2)));
        sleep(Duration::from_secs(2)).await;
        let water = *works.water();
        let detail = format!(
            "books {:.1} l, tanks {:.1} l",
            water.books,
            water.in_tanks()
        );
        stage.measured("missing before", water.missing().abs(), "l", detail);
        Ok(())
    })
}

fn valve(works: &Works, plan: Plan) -> Chapter {
    Chapter::new(
        "The valve shuts",
        "The valve between pipe and tanks shuts. The pump does not know and goes on; the taps go \
         on, too. The books say that all is well.",
    )
    .key_hint("see what was found")
    .blocks_advance()
    .repeatable()
    .on_enter_with(works.clone(), move |stage, works| async move {
        if !stage.countdown("the valve shuts in", plan.countdown).await {
            return Ok(());
        }
        let before = stage.elapsed();
        let shut = works.shut_valve();
        stage.mark("valve shut", MarkEdge::Begin);
        stage.status("the valve is shut", Some(plan.fault));
        stage.say(
            Tone::Warning,
            "the valve is shut; nothing reaches the tanks",
        );
        let worst = tokio::select! {
            () = stage.cancelled() => works.water().missing(),
            worst = worst_while(&works, plan.fault) => worst,
        };
        drop(shut);
        stage.mark("valve shut", MarkEdge::End);
        stage.measured("most missing", worst, "l", "in the pipe, where no gauge is");
        stage.measured(
            "shut for",
            (stage.elapsed() - before).as_secs_f64(),
            "s",
            "",
        );
        stage.say(Tone::Good, "the valve is open again");
        Ok(())
    })
}

async fn worst_while(works: &Works, length: Duration) -> f64 {
    let mut worst: f64 = 0.0;
    let _ = timeout(length, async {
        let mut ticks = interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            worst = worst.max(works.water().missing());
        }
    })
    .await;
    worst
}

fn detection(works: &Works) -> Chapter {
    Chapter::new(
        "Detection",
        "The detector compares gauges and books five times a second, and speaks when they have \
         differed by more than 8 l for 0.6 s.",
    )
    .key_hint("ask why")
    .on_enter_with(works.clone(), move |stage, works| async move {
        let found = works.water().found_after.take();
        stage.expected("the books and the tanks part", found.is_some());
        if let Some(after) = found {
            stage.measured("found after", after.as_secs_f64(), "s", "0.6 s of it grace");
        }
        stage.say(
            Tone::Plain,
            format!("now missing: {:.1} l", works.water().missing().max(0.0)),
        );
        Ok(())
    })
}

fn diagnosis(works: &Works) -> Chapter {
    Chapter::new("Diagnosis", "Where did the water go?")
        .key_hint("let it recover")
        .on_enter_with(works.clone(), |stage, works| async move {
            let water = *works.water();
            let Water {
                arriving,
                least_arriving,
                spilled,
                ..
            } = water;
            let text = format!(
                "What happened: `pipe` stopped passing water on.\n\n\
                 - pump: {PUMP:.1} l/s all the time\n\
                 - arriving: fell to {least_arriving:.1} l/s, now {arriving:.1} l/s\n\
                 - floor: {spilled:.1} l, so it is no leak\n\
                 - in the tanks: {:.1} l, by the books {:.1} l\n\n\
                 Ruled out: an open tap, since what is tapped is in the books; a stopped pump, \
                 since it ran.\n\
                 What to do: nothing, the valve is open again and the water is on its way.\n",
                water.in_tanks(),
                water.books,
            );
            write_slowly(&stage, &text).await;
            Ok(())
        })
}

async fn write_slowly(stage: &Stage, text: &str) {
    for piece in text.split_inclusive(' ') {
        stage.emit(Event::Text {
            panel: "diagnosis".into(),
            piece: piece.into(),
            detail: false,
        });
        tokio::select! {
            () = stage.cancelled() => return,
            () = sleep(Duration::from_millis(15)) => {}
        }
    }
}

fn recovery(works: &Works) -> Chapter {
    Chapter::new(
        "Recovery",
        "What was held back rushes into the tanks. We go on when the books are right again.",
    )
    .auto_advance()
    .on_enter_with(works.clone(), move |stage, works| async move {
        stage.status("waiting for the books to be right", None);
        let mut ticks = interval(Duration::from_millis(50));
        while works.water().missing().abs() > 1.0 {
            tokio::select! {
                () = stage.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
        }
        stage.measured("missing after", works.water().missing().abs(), "l", "");
        stage.say(Tone::Good, "the books are right again");
        Ok(())
    })
}

fn surge(works: &Works, plan: Plan) -> Chapter {
    Chapter::new(
        "The surge",
        "Sixty litres in a second, ten times what the pipe was made for. The tanks hold 28 l each.",
    )
    .key_hint("look at the floor")
    .blocks_advance()
    .repeatable()
    .on_enter_with(works.clone(), move |stage, works| async move {
        if stage.countdown("the surge comes in", plan.countdown).await {
            stage.mark("surge", MarkEdge::Moment);
            stage.status("the surge runs through", Some(Duration::from_secs(3)));
            works.water().surge += 60.0;
            tokio::select! {
                () = stage.cancelled() => works.water().surge = 0.0,
                () = sleep(Duration::from_secs(3)) => {}
            }
        }
        Ok(())
    })
}

fn floor(works: &Works) -> Chapter {
    Chapter::new(
        "The floor",
        "What went over the brims is gone: no waiting brings it back, only a correction of the \
         books.",
    )
    .key_hint("close the books")
    .on_enter_with(works.clone(), move |stage, works| async move {
        let spilled = works.book_the_spill();
        stage.measured("spilled", spilled, "l", "over three brims of 28 l");
        stage.expected("the tanks overflow", spilled > 1.0);
        stage.say(Tone::Bad, format!("{spilled:.1} l are on the floor"));
        stage.say(Tone::Good, "the books were corrected");
        Ok(())
    })
}
