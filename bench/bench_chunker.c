/*
 * bench/bench_chunker.c - what it costs to make chunks and to read them back:
 * each step of the way down, all of them together, and the way up, in time of
 * one core. The best of many slices, since others use the machine as well.
 *
 *   bench_chunker [SECONDS-PER-ROW]
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "chunker/cdc.h"
#include "chunker/digest.h"
#include "chunker/frame.h"

#define BENCH_BYTES (16u << 20)
#define BENCH_SLICE (1u << 20) /* bytes that are timed at once, at least */

struct bench {
	struct keys *keys;
	struct sealer *sealer;
	uint8_t *data; /* BENCH_BYTES of what is measured */
	uint8_t *pack; /* sealed frames of one chunk */
	uint8_t *plain; /* FRAME_PLAIN */
	size_t each; /* bytes of a chunk */
	struct encoded *e; /* of the first chunk */
	struct encode_kit *kit;
	uint64_t ms; /* of a row, at least */
};

static const struct pluri_id pack = {{1}};
static const struct pluri_digest name = {{2}};

/* --- steps, each for one chunk ------------------------------------------- */

/* A stream is cut where its content says: all of the data, and its share of
 * that is told. A small file is not even looked at. */
static void run_cut(struct bench *b, const uint8_t *data)
{
	const size_t len = b->each < cdc_default.min ? b->each : BENCH_BYTES;

	for (size_t at = 0; at < len;) {
		const size_t cut = cdc_cut(&cdc_default, data + at, len - at);

		at += cut ? cut : len - at;
	}
}

static void run_name(struct bench *b, const uint8_t *data)
{
	struct pluri_digest d;

	if (digest_chunk(b->keys, (struct pluri_span){data, b->each}, &d) < 0)
		errx(1, "digest failed");
}

static struct encoded *bench_encode(const struct bench *b, const uint8_t *data)
{
	const struct encode_options o = {true, 3};
	struct encoded *e = NULL;

	if (encode_chunk_with(b->kit, &o, &name,
		    (struct pluri_span){data, b->each}, &e, NULL) < 0)
		errx(1, "encode failed");
	return e;
}

static void run_compress(struct bench *b, const uint8_t *data)
{
	encoded_free(bench_encode(b, data));
}

static struct frame_id bench_id(const struct encoded *e, uint32_t i)
{
	return (struct frame_id){name, e->plain, i, e->frames};
}

static void run_seal(struct bench *b, const uint8_t *data)
{
	uint8_t *to = b->pack;

	(void)data;
	for (uint32_t i = 0; i < b->e->frames; i++) {
		const struct frame_id id = bench_id(b->e, i);

		if (frame_seal(b->sealer, b->keys, &pack,
			    64 + (uint64_t)(to - b->pack), &id, &b->e->frame[i],
			    to) < 0)
			errx(1, "seal failed");
		to += b->e->frame[i].stored + FRAME_OVERHEAD;
	}
}

static void run_sum(struct bench *b, const uint8_t *data)
{
	size_t len = 0;

	(void)data;
	for (uint32_t i = 0; i < b->e->frames; i++)
		len += b->e->frame[i].stored + FRAME_OVERHEAD;
	if (digest_sum((struct pluri_span){b->pack, len}) == 1)
		errx(1, "so unlikely that it is a fault");
}

/* What run_seal left: authentic, and decompressed. */
static void run_open(struct bench *b, const uint8_t *data)
{
	pluri_auto(frame_opener) o = NULL;
	const uint8_t *from = b->pack;

	(void)data;
	if (frame_opener_new(b->keys, &pack, b->kit, &o, NULL) < 0)
		errx(1, "no opener");
	for (uint32_t i = 0; i < b->e->frames; i++) {
		const size_t len = b->e->frame[i].stored + FRAME_OVERHEAD;
		const struct frame_id id = bench_id(b->e, i);
		struct pluri_room room = {b->plain, FRAME_PLAIN, 0};

		if (frame_opener_open(o, 64 + (uint64_t)(from - b->pack),
			    (struct pluri_span){from, len}, &id, &room,
			    NULL) < 0)
			errx(1, "open failed");
		from += len;
	}
}

static const struct step {
	const char *name;
	void (*run)(struct bench *b, const uint8_t *data);
	bool down;
} steps[] = {
	{"cut", run_cut, true},
	{"name", run_name, true},
	{"compress", run_compress, true},
	{"seal", run_seal, true},
	{"checksum", run_sum, true},
	{"open", run_open, false},
};

/* --- contents ------------------------------------------------------------- */

static void bench_noise(uint8_t *to, size_t len)
{
	clock_random(clock_system(), to, len);
}

static void bench_text(uint8_t *to, size_t len)
{
	static const char *const words[] = {"chunk ", "frame ", "pack ",
		"shard ", "store ", "the ", "of ", "and\n"};
	uint64_t x = 1;
	size_t n = 0;

	while (n < len) {
		const char *w;

		x = x * UINT64_C(6364136223846793005) + 1;
		w = words[x >> 61];
		for (; *w && n < len; w++)
			to[n++] = (uint8_t)*w;
	}
}

static const struct content {
	const char *name;
	void (*fill)(uint8_t *to, size_t len);
	size_t each;
} contents[] = {
	{"random, chunks of 1 MiB", bench_noise, 1u << 20},
	{"text, chunks of 1 MiB", bench_text, 1u << 20},
	{"random, 4 KiB", bench_noise, 4096},
	{"text, 4 KiB", bench_text, 4096},
};

/* --- measuring ------------------------------------------------------------ */

static double bench_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds that one chunk takes. */
static double bench_step(struct bench *b, const struct step *s)
{
	const bool stream = s->run == run_cut && b->each >= cdc_default.min;
	const size_t slice = stream ? BENCH_BYTES : BENCH_SLICE;
	const uint64_t end = clock_mono_ms(clock_system()) + b->ms;
	double best = 0;
	size_t at = 0;

	do {
		const double start = bench_now();
		double took;

		for (size_t n = 0; n < slice; n += stream ? slice : b->each)
			s->run(b, b->data + at + n);
		took = (bench_now() - start) * (double)b->each / (double)slice;
		if (best == 0 || took < best)
			best = took;
		at = (at + slice) % BENCH_BYTES;
	} while (clock_mono_ms(clock_system()) < end);
	return best;
}

static void bench_tell(const struct bench *b, const char *what, double s)
{
	(void)printf("%-24s %9.1f %9.3f %12.2f\n", what,
		(double)b->each / 1e6 / s,
		s * 1024 * 1024 * 1024 / (double)b->each, s * 1e6);
}

static void bench_content(struct bench *b, const struct content *c)
{
	double down = 0;

	c->fill(b->data, BENCH_BYTES);
	b->each = c->each;
	b->e = bench_encode(b, b->data);
	(void)printf("\n%-24s %9s %9s %12s\n", c->name, "MB/s", "s/GiB",
		"us a chunk");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const double s = bench_step(b, &steps[i]);

		if (steps[i].down)
			down += s;
		else
			bench_tell(b, "all of these", down);
		bench_tell(b, steps[i].name, s);
	}
	encoded_free(b->e);
}

int main(int argc, char **argv)
{
	const struct pluri_id volume = {{0}};
	const uint8_t master[PLURI_KEY_BYTES] = {0};
	struct bench b = {
		.ms = argc > 1 ? strtoul(argv[1], NULL, 10) * 1000 : 500};

	b.data = malloc(BENCH_BYTES);
	b.pack = malloc(9 * FRAME_STORED_MAX);
	b.plain = malloc(FRAME_PLAIN);
	b.kit = encode_kit_new();
	if (!b.data || !b.pack || !b.plain || !b.kit ||
		keys_new(master, &volume, &b.keys, NULL) < 0 ||
		sealer_new(b.keys, &pack, &b.sealer, NULL) < 0)
		errx(1, "cannot start");
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
		bench_content(&b, &contents[i]);
	encode_kit_free(b.kit);
	sealer_free(b.sealer);
	keys_free(b.keys);
	free(b.data);
	free(b.pack);
	free(b.plain);
	return 0;
}
