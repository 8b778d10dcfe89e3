// Draws the test clips and encodes them: node test/data/clips/encode.mjs FFMPEG (any ffmpeg with libx264, libvpx, libwebp and aac; version 4.1 was used).
// A square of 12 x 12 pixels moves over 64 x 48 pixels, 3 pixels to the right per frame, so that its place tells the frame. Own work, under the licence of the repository.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [W, H, SIDE, STEP, FRAMES] = [64, 48, 12, 3, 16];
const here = dirname(fileURLToPath(import.meta.url));
const ffmpeg = process.argv[2] ?? 'ffmpeg';

function frame(i) {
  const rgb = Buffer.alloc(W * H * 3);
  for (let y = 0; y < H; y++) {
    for (let x = 0; x < W; x++) {
      const inside = x >= STEP * i && x < STEP * i + SIDE && y >= 6 && y < 6 + SIDE;
      rgb.set(inside ? [250, 220, 40] : [20, 30, 90], (y * W + x) * 3);
    }
  }
  return rgb;
}

function encode(name, options, { frames = FRAMES, input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${W}x${H}`, '-r', '10', '-i', 'pipe:0'] } = {}) {
  const file = join(here, name);
  rmSync(file, { force: true });
  const { status, stderr } = spawnSync(ffmpeg, ['-v', 'error', '-y', ...input, '-map_metadata', '-1', '-fflags', '+bitexact', '-flags:v', '+bitexact', ...options, file], { input: Buffer.concat(Array.from({ length: frames }, (_, i) => frame(i))) });
  if (status !== 0) throw new Error(`${name}: ${stderr}`);
  console.log(`${name} ${statSync(file).size} bytes`);
}

/** Writes the matrix of a quarter turn to the right into the track header (ISO/IEC 14496-12, 8.3.2), as telephones do. */
function turn(file) {
  const bytes = readFileSync(file);
  const matrix = bytes.indexOf('tkhd') + 44;
  [0, 65536, 0, -65536, 0, 0, H * 65536, 0, 0x40000000].forEach((n, i) => bytes.writeInt32BE(n, matrix + 4 * i));
  writeFileSync(file, bytes);
}

const H264 = ['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-crf', '20', '-x264-params', 'keyint=8:bframes=2', '-movflags', '+faststart'];
encode('square.mp4', H264);
encode('uneven.mp4', [...H264.slice(0, 6), '-x264-params', 'keyint=8:bframes=0', '-movflags', '+faststart', '-vf', 'setpts=(N+N*N/5)/10/TB', '-vsync', 'passthrough', '-video_track_timescale', '1000']); // frame i at (i + i²/5) / 10 s
encode('turned.mp4', H264);
turn(join(here, 'turned.mp4'));
encode('one.mp4', H264, { frames: 1 });
encode('square_vp9.webm', ['-c:v', 'libvpx-vp9', '-pix_fmt', 'yuv420p', '-crf', '24', '-b:v', '0', '-g', '8']);
encode('square_vp8.webm', ['-c:v', 'libvpx', '-pix_fmt', 'yuv420p', '-crf', '10', '-b:v', '400k', '-g', '8']);
encode('three_hours.mp4', [...H264, '-vf', 'setpts=N*1200/TB', '-vsync', 'passthrough', '-video_track_timescale', '1000', '-x264-params', 'keyint=1']); // a frame every 20 minutes
encode('sound.mp4', ['-c:a', 'aac', '-b:a', '16k', '-t', '0.3'], { input: ['-f', 'lavfi', '-i', 'sine=440:sample_rate=16000'] });
encode('wide.mp4', H264, { input: ['-f', 'lavfi', '-i', 'color=c=navy:s=9600x4400:r=10:d=0.1'] }); // 42 million pixels
encode('square.gif', ['-vf', 'split[a][b];[a]palettegen=max_colors=8[p];[b][p]paletteuse']);
encode('square.webp', ['-c:v', 'libwebp_anim', '-lossless', '1', '-loop', '0']);
