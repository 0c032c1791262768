/*
 * base/wire.h - checked little-endian cursors over bytes from outside.
 *
 * Reading past the end sets bad and yields zeros: read everything, then ask
 * wire_ok() once. Writing never passes the end either. Pure; header only.
 */
#ifndef PLURI_BASE_WIRE_H
#define PLURI_BASE_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct wire_in {
	const uint8_t *p;
	size_t left;
	bool bad;
};

struct wire_out {
	uint8_t *p;
	size_t left;
	bool bad;
};

static inline void wire_take(struct wire_in *w, void *to, size_t n)
{
	if (n > w->left) {
		w->bad = true;
		memset(to, 0, n);
		return;
	}
	if (n)
		memcpy(to, w->p, n);
	w->p += n;
	w->left -= n;
}

static inline uint64_t wire_uint(struct wire_in *w, unsigned bytes)
{
	uint8_t b[8] = { 0 };
	uint64_t v = 0;

	wire_take(w, b, bytes);
	for (unsigned i = 8; i-- > 0;)
		v = v << 8 | b[i];
	return v;
}

static inline uint8_t wire_u8(struct wire_in *w)
{
	return (uint8_t)wire_uint(w, 1);
}

static inline uint16_t wire_u16(struct wire_in *w)
{
	return (uint16_t)wire_uint(w, 2);
}

static inline uint32_t wire_u32(struct wire_in *w)
{
	return (uint32_t)wire_uint(w, 4);
}

static inline uint64_t wire_u64(struct wire_in *w)
{
	return wire_uint(w, 8);
}

/* Reserved bytes: anything but zero makes the whole reading bad. */
static inline void wire_zero(struct wire_in *w, size_t n)
{
	while (n-- > 0)
		if (wire_u8(w) != 0)
			w->bad = true;
}

static inline bool wire_ok(const struct wire_in *w)
{
	return !w->bad;
}

static inline void wire_give(struct wire_out *w, const void *from, size_t n)
{
	if (n > w->left) {
		w->bad = true;
		return;
	}
	if (n)
		memcpy(w->p, from, n);
	w->p += n;
	w->left -= n;
}

static inline void wire_put(struct wire_out *w, uint64_t v, unsigned bytes)
{
	uint8_t b[8];

	for (unsigned i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	wire_give(w, b, bytes);
}

#endif
