/*
 * bench/proxy_flow.h - bytes of one direction of one connection, on their way.
 *
 * Each piece that is read gets the time at which it has arrived at the other
 * end: it waits for its turn on the link, which all connections share, takes
 * as long as its bytes do at the link's rate, and then travels for the link's
 * delay. So a delay costs no throughput, and a rate holds for all of them
 * together. Confined.
 */
#ifndef PLURI_BENCH_PROXY_FLOW_H
#define PLURI_BENCH_PROXY_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_PIECE     65536u
#define FLOW_HELD_MAX  (16u << 20)  /* bytes of a connection under way */
#define FLOW_LINK_MAX  (512u << 20) /* of a link; more are left in the socket */
#define FLOW_AHEAD_NS  UINT64_C(10000000) /* so far is a link given work */
#define FLOW_NEVER     UINT64_MAX

struct flow_link {
	uint64_t delay_ns;
	uint64_t rate; /* bytes a second; 0: no limit */
	uint64_t free_ns; /* when its next byte may start */
	uint64_t held, passed; /* bytes */
};

struct flow_piece;

struct flow {
	struct flow_link *link;
	struct flow_piece *first, *last;
	size_t held;
	uint64_t floor_ns; /* nothing read from now on arrives before */
	bool ended; /* the source has, and that is under way as well */
	bool shut;  /* the other end has been told */
};

enum flow_got {
	FLOW_SOME, /* and perhaps more at once */
	FLOW_NONE, /* not now: the kernel has no more, or takes no more */
	FLOW_LATER, /* not before flow_next() */
	FLOW_BROKEN,
};

/* When flow_read may take more: 0 at once, FLOW_NEVER after a flow_write. */
uint64_t flow_room(const struct flow *f, uint64_t now_ns);

/*
 * One piece from fd. *ret_data, *ret_len: the bytes, to be looked at until the
 * next call on f; len 0 unless FLOW_SOME. FLOW_SOME without bytes: the end.
 */
enum flow_got flow_read(struct flow *f, int fd, uint64_t now_ns,
			const uint8_t **ret_data, size_t *ret_len);

/* Moves the last piece read to floor_ns, if that is later. */
void flow_hold(struct flow *f, uint64_t floor_ns);

/* What has arrived, to fd. */
enum flow_got flow_write(struct flow *f, int fd, uint64_t now_ns);

/* When the next piece arrives; FLOW_NEVER: none is under way. */
uint64_t flow_next(const struct flow *f);

/* Drops what is under way. */
void flow_clear(struct flow *f);

#endif
