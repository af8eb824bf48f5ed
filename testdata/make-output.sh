#!/usr/bin/env bash
# Makes the directory "output" beside this script: two small stories as the audio generator leaves them, in real
# speech. The result is committed; run this again only to change it. On Debian: apt-get install espeak-ng lame ffmpeg
set -euo pipefail
export LC_ALL=C
shopt -s inherit_errexit

for tool in espeak-ng lame ffmpeg ffprobe; do
	if ! command -v "$tool" >/dev/null; then
		echo "$0: $tool is not installed; on Debian: apt-get install espeak-ng lame ffmpeg" >&2
		exit 1
	fi
done

output=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/output
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# seconds FILE: how long it plays, as far as whole milliseconds tell.
seconds() {
	local s
	s=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$1")
	printf '%.3f' "$s"
}

# join LIST WAV: one WAV file of those that LIST names, one after another.
join() {
	sed "s/.*/file '&'/" "$1" >"$work/concat"
	ffmpeg -v error -y -bitexact -f concat -safe 0 -i "$work/concat" -c copy "$2"
}

# encode WAV MP3 TITLE: mono speech at a constant 24 kbit/s, with an ID3 title.
encode() {
	mkdir -p "$(dirname "$2")"
	lame --quiet -q 2 --cbr -b 24 -m m --resample 22.05 --noreplaygain --id3v2-only \
		--tt "$3" --tl "$story_title" --ta codestory "$1" "$2"
}

# clock SECONDS: as WebVTT writes it.
clock() { awk -v s="$1" 'BEGIN { printf "%02d:%02d:%06.3f", s / 3600, s % 3600 / 60, s % 60 }'; }

# story UUID VOICE TITLE: begins a story.
story() {
	story_dir=$output/$1 voice=$2 story_title=$3
	chapter_number=0 chapters="" at=0
	: >"$work/story.list"
	printf 'WEBVTT\n' >"$work/transcript.vtt"
}

# chapter TITLE <NARRATION: adds a chapter, one sentence a line.
chapter() {
	local number line wav mp3
	chapter_number=$((chapter_number + 1))
	number=$(printf '%02d' "$chapter_number")
	: >"$work/chapter.list"
	while IFS= read -r line; do
		wav=$work/$(wc -l <"$work/story.list").wav
		espeak-ng -v "$voice" -s 165 -w "$wav" "$line"
		echo "$wav" | tee -a "$work/story.list" >>"$work/chapter.list"
		printf '\n%s --> ' "$(clock "$at")" >>"$work/transcript.vtt"
		at=$(awk -v a="$at" -v s="$(seconds "$wav")" 'BEGIN { printf "%.3f", a + s }')
		printf '%s\n%s\n' "$(clock "$at")" "$line" >>"$work/transcript.vtt"
	done
	join "$work/chapter.list" "$work/chapter.wav"
	mp3=$story_dir/chapters/chapter_$number.mp3
	encode "$work/chapter.wav" "$mp3" "$1"
	chapters+="${chapters:+,}
    {\"number\": $chapter_number, \"title\": \"$1\", \"duration_seconds\": $(seconds "$mp3")}"
}

# story_end ATTRIBUTES: writes the whole story and its metadata.json, with ATTRIBUTES between title and chapters.
story_end() {
	join "$work/story.list" "$work/story.wav"
	encode "$work/story.wav" "$story_dir/audio/story.mp3" "$story_title"
	cat >"$story_dir/metadata.json" <<-END
		{
		  "story_id": "$(basename "$story_dir")",
		  "title": "$story_title",
		$1
		  "chapters": [$chapters
		  ]
		}
	END
}

rm -rf "$output"

story 3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06 en-us "Kilo, an editor in a thousand lines"
chapter "One Sunday in July" <<'END'
Kilo is a text editor for the terminal.
Salvatore Sanfilippo published it on a Sunday in July, twenty sixteen, after a few hours of work.
It is one file of C, with fewer than a thousand lines of code, and it needs no library.
END
chapter "Raw mode" <<'END'
A terminal waits for a whole line before a program sees any of it.
So the first thing that Kilo does is to ask for raw mode.
The comment above that function calls it nineteen sixty magic.
From then on, every key arrives on its own.
END
chapter "One write for the screen" <<'END'
To draw, Kilo does not write character by character, because the screen would flicker.
It collects every escape sequence and every row in one growing buffer.
Then a single write sends the whole picture.
END
story_end '  "description": "How a text editor fits into one file of C.",
  "language": "en",
  "created_at": "2026-01-12T09:30:00Z",
  "source": {
    "repository": "https://github.com/antirez/kilo",
    "commit": "323d93b29bd89a2cb446de90c4ed4fea1764176e"
  },'
cp "$work/transcript.vtt" "$story_dir/transcript.vtt"

story b81d4f60-27a9-4c05-8e6f-d3a17c5902be en-gb "HttpRouter, a tree of paths"
chapter "One match or none" <<'END'
HttpRouter finds the function that answers a web request.
Other routers let several patterns match one path, and need rules to choose between them.
Here a path matches exactly one route, or none at all.
END
chapter "The radix tree" <<'END'
Routes that begin alike share a branch of a tree, and there is one tree for each request method.
The branches that lead to the most routes are tried first.
Finding a route without parameters allocates no memory at all.
END
story_end '  "description": "Why a small Go router is quick.",
  "user_id": "ada",
  "language": "en",
  "created_at": "2026-02-03T16:05:00Z",
  "source": {
    "repository": "https://github.com/julienschmidt/httprouter",
    "commit": "484018016424d215c0b87c42f4c9b57d980fbd00"
  },'
ffmpeg -v error -bitexact -i "$work/story.wav" -filter_complex showwavespic=s=320x320:colors=0x2b6cb0 -frames:v 1 \
	-pix_fmt yuvj420p -q:v 6 "$story_dir/cover.jpg"
