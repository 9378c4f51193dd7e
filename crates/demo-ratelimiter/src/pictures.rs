use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use cli_support::{Exit, exit_help};
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
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("creating {}", args.out.display()))?;
    for still in film.stills() {
        let name = still
            .chapter
            .map_or_else(|| "end".into(), |number| format!("chapter-{number:02}"));
        write(&args.out.join(name + ".svg"), &still.svg)?;
    }
    write(&args.out.join("story.svg"), &film.svg())?;
    write(&args.out.join("story.cast"), &film.cast())?;
    Ok(Exit::Success)
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| format!("writing {}", path.display()))?;
    println!("{} ({} KB)", path.display(), content.len().div_ceil(1000));
    Ok(())
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
