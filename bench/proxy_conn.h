/*
 * bench/proxy_conn.h - one client, its connection to the server, and what the
 * proxy does to the bytes between them. Confined.
 */
#ifndef PLURI_BENCH_PROXY_CONN_H
#define PLURI_BENCH_PROXY_CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/proxy_flow.h"
#include "bench/proxy_http.h"

/* What all connections share. */
struct conn_world {
	int epoll;
	struct sockaddr_in server;
	struct flow_link up, down; /* to the server, to the client */
	unsigned int slow_percent, slow_factor;
	uint64_t chance; /* state of the generator; never 0 */
	bool swallow;	 /* a black hole, now */
	uint64_t requests[HTTP_KINDS], lost;
	uint64_t slowed, swallowed;
	uint64_t in_flight, most_in_flight; /* asked and not answered */
};

/* One end's socket, and what epoll said of it last. */
struct conn_end {
	struct conn *conn;
	int fd;
	bool readable, writable, failed;
};

struct conn {
	struct conn *next;
	struct conn_end client, server;
	struct flow up, down;
	struct http http;
	bool waits;  /* for an answer */
	bool slow;   /* and that will be a slow one */
	bool doomed; /* a black hole has had bytes of it */
	uint64_t asked_ns;
};

/* Takes fd over and connects to the server. */
struct conn *conn_new(struct conn_world *w, int fd, uint64_t now_ns);

/* Closes and frees. */
void conn_free(struct conn_world *w, struct conn *c);

/*
 * Moves what can be moved now. Returns when it wants to be called again if
 * epoll has nothing to say before: now_ns or earlier means at once, FLOW_NEVER
 * not at all. *ret_over: it has ended and is to be freed.
 */
uint64_t conn_pump(struct conn_world *w, struct conn *c, uint64_t now_ns,
		   bool *ret_over);

#endif
