/*
 * bench/bench_chunker.c - how fast chunks are made and read back, on one core.
 *
 *   bench_chunker [SECONDS-PER-ROW]
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "chunker/cdc.h"
#include "chunker/digest.h"
#include "chunker/frame.h"

#define BENCH_BYTES (16u << 20)

struct bench {
	struct keys *keys;
	uint8_t *noise; /* BENCH_BYTES each */
	uint8_t *text;
	uint8_t *out; /* FRAME_PLAIN */
	uint8_t *sealed; /* FRAME_STORED_MAX: the last sealed frame */
	struct sealer *sealer;
	uint64_t ms; /* of a row, at least */
};

struct row {
	const char *name;
	void (*run)(const struct bench *b, const uint8_t *data, size_t each);
	bool text;
	size_t each; /* bytes a call gets */
};

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

static void run_cdc(const struct bench *b, const uint8_t *data, size_t each)
{
	(void)b;
	for (size_t at = 0; at < each;) {
		const size_t cut = cdc_cut(&cdc_default, data + at, each - at);

		at += cut ? cut : each - at;
	}
}

static void run_digest(const struct bench *b, const uint8_t *data, size_t each)
{
	struct pluri_digest d;

	if (digest_chunk(b->keys, (struct pluri_span){data, each}, &d) < 0)
		errx(1, "digest failed");
}

static void run_sum(const struct bench *b, const uint8_t *data, size_t each)
{
	(void)b;
	if (digest_sum((struct pluri_span){data, each}) == 1)
		errx(1, "so unlikely that it is a fault");
}

static void run_encode(const struct bench *b, const uint8_t *data, size_t each)
{
	const struct encode_options o = {true, 3};
	const struct pluri_digest id = {{0}};
	pluri_auto(encoded) e = NULL;

	(void)b;
	if (encode_chunk(&o, &id, (struct pluri_span){data, each}, &e, NULL) <
		0)
		errx(1, "encode failed");
}

static const struct pluri_id pack = {{1}};

/* Seal data as one frame into b->sealed. */
static void run_seal(const struct bench *b, const uint8_t *data, size_t each)
{
	const struct frame_id id = {.chunk_bytes = (uint32_t)each, .count = 1};
	const struct encoded_frame f = {
		(uint32_t)each, (uint32_t)each, false, data};

	if (frame_seal(b->sealer, b->keys, &pack, 64, &id, &f, b->sealed) < 0)
		errx(1, "seal failed");
}

static void run_sealer(const struct bench *b, const uint8_t *data, size_t each)
{
	pluri_auto(sealer) s = NULL;

	(void)data, (void)each;
	if (sealer_new(b->keys, &pack, &s, NULL) < 0)
		errx(1, "no sealer");
}

/* Open what run_seal left; pays for a sealer each time. */
static void run_open(const struct bench *b, const uint8_t *data, size_t each)
{
	const struct frame_at at = {b->keys, pack, 64};
	const struct frame_id id = {.chunk_bytes = (uint32_t)each, .count = 1};
	struct pluri_room room = {b->out, FRAME_PLAIN, 0};

	(void)data;
	if (frame_open(&at, (struct pluri_span){b->sealed, FRAME_STORED_MAX},
		    &id, &room, NULL) < 0)
		errx(1, "open failed");
}

static const struct row rows[] = {
	{"cdc, random", run_cdc, false, BENCH_BYTES},
	{"cdc, text", run_cdc, true, BENCH_BYTES},
	{"digest, 1 MiB", run_digest, false, 1u << 20},
	{"digest, 4 KiB", run_digest, false, 4096},
	{"digest, 100 B", run_digest, false, 100},
	{"checksum, 16 MiB", run_sum, false, BENCH_BYTES},
	{"encode random, 1 MiB", run_encode, false, 1u << 20},
	{"encode text, 1 MiB", run_encode, true, 1u << 20},
	{"encode text, 4 KiB", run_encode, true, 4096},
	{"seal, 128 KiB", run_seal, false, FRAME_PLAIN},
	{"open, 128 KiB", run_open, false, FRAME_PLAIN}, /* the one above */
	{"seal, 4 KiB", run_seal, false, 4096},
	{"open, 4 KiB", run_open, false, 4096}, /* the one above */
	{"sealer alone", run_sealer, false, 1},
};

static void bench_row(const struct bench *b, const struct row *r)
{
	const uint8_t *data = r->text ? b->text : b->noise;
	const uint64_t start = clock_mono_ms(clock_system());
	uint64_t calls = 0;
	uint64_t ms = 0;
	double s;

	while (ms < b->ms) {
		for (size_t at = 0;
			at + r->each <= BENCH_BYTES && at < 1u << 20;
			at += r->each, calls++)
			r->run(b, data + at, r->each);
		ms = clock_mono_ms(clock_system()) - start;
	}
	s = (double)ms / 1000;
	(void)printf("%-22s %10.1f MB/s %12.2f us\n", r->name,
		(double)calls * (double)r->each / 1e6 / s,
		s * 1e6 / (double)calls);
}

int main(int argc, char **argv)
{
	const struct pluri_id volume = {{0}};
	const uint8_t master[PLURI_KEY_BYTES] = {0};
	struct bench b = {
		.ms = argc > 1 ? strtoul(argv[1], NULL, 10) * 1000 : 500};

	b.noise = malloc(BENCH_BYTES);
	b.text = malloc(BENCH_BYTES);
	b.out = malloc(FRAME_PLAIN);
	b.sealed = malloc(FRAME_STORED_MAX);
	if (!b.noise || !b.text || !b.out || !b.sealed ||
		keys_new(master, &volume, &b.keys, NULL) < 0 ||
		sealer_new(b.keys, &pack, &b.sealer, NULL) < 0)
		errx(1, "cannot start");
	clock_random(clock_system(), b.noise, BENCH_BYTES);
	bench_text(b.text, BENCH_BYTES);
	(void)printf("%-22s %15s %15s\n", "", "throughput", "per call");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		bench_row(&b, &rows[i]);
	sealer_free(b.sealer);
	keys_free(b.keys);
	free(b.noise);
	free(b.text);
	free(b.out);
	free(b.sealed);
	return 0;
}
