use std::path::PathBuf;

use clap::Args;
use cli_support::{Exit, ResultDirectory, exit_help, print};
use demo_tui::{Background, Film, ScreenOptions, Size};

use crate::replay::{self, DwellArg};

#[derive(Debug, Args)]
#[command(after_help = exit_help(&[]))]
pub(crate) struct PicturesArgs {
    /// Log of a run, as `run --json` prints it and `run --record` writes it
    log: PathBuf,
    /// Directory for the pictures: chapter-NN.svg, end.svg, story.svg (moving) and story.cast
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Replace pictures that are in that directory
    #[arg(long)]
    force: bool,
    /// Size of the screen, in columns and rows
    #[arg(long, value_name = "WxH", value_parser = size, default_value = "80x24")]
    size: Size,
    #[command(flatten)]
    dwell: DwellArg,
    /// Draw on a light ground
    #[arg(long)]
    light: bool,
}

/// Draws a log: the end of each chapter, a moving picture and an asciicast.
pub(crate) fn pictures(args: &PicturesArgs) -> anyhow::Result<Exit> {
    let log = replay::read(&args.log)?;
    let background = if args.light {
        Background::Light
    } else {
        Background::Dark
    };
    let dwell = args.dwell.time();
    let options = ScreenOptions {
        background,
        dwell,
        mode_label: "replay".into(),
        ..ScreenOptions::default()
    };
    let film = Film::new(&log, args.size, &options);
    let stills = film.stills().into_iter().map(|still| {
        let chapter = still.chapter.map(|number| format!("chapter-{number:02}"));
        (chapter.unwrap_or_else(|| "end".into()) + ".svg", still.svg)
    });
    let mut pictures: Vec<(String, String)> = stills.collect();
    pictures.push(("story.svg".into(), film.svg()));
    pictures.push(("story.cast".into(), film.cast()));
    let names = pictures.iter().map(|(name, _)| name.as_str());
    let directory = ResultDirectory::create(&args.out, args.force, names)?;
    for (name, content) in &pictures {
        directory.file(name)?.write(content)?;
        let (path, size) = (directory.path().join(name), content.len().div_ceil(1000));
        print(format_args!("{} ({size} KB)", path.display()))?;
    }
    replay::has_end(&log, &args.log)
}

fn size(text: &str) -> Result<Size, String> {
    let (width, height) = text.split_once('x').ok_or("expected WxH, as 120x36")?;
    let number = |n: &str| match n.parse() {
        Ok(number @ 10..=300) => Ok(number),
        _ => Err(format!("{n:?} is not from 10 to 300")),
    };
    Ok(Size {
        width: number(width)?,
        height: number(height)?,
    })
}
