/*
 * fs/merge_table.h - regions of files that were noted; when to look at them.
 *
 * Fixed in size: sets of MERGE_WAYS, as in a processor's cache. What has few
 * notes makes room; when all of a set have many, the newcomer is dropped and
 * `missed` says that the scan should find it. A look that led nowhere is
 * forgotten; one that led to a copy leaves its back-off.
 *
 * Pure but for the struct. Confined.
 */
#ifndef PLURI_FS_MERGE_TABLE_H
#define PLURI_FS_MERGE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define MERGE_REGION (1u << 20) /* bytes, aligned */
#define MERGE_SETS 512u		/* a power of two */
#define MERGE_WAYS 8u
#define MERGE_NOTES 8u /* fewer small extents are not worth a look */
#define MERGE_WAIT_MIN_MS 20000u
#define MERGE_WAIT_MAX_MS 3600000u

struct merge_at {
	uint64_t ino, region; /* offset / MERGE_REGION */
};

struct merge_spot {
	struct merge_at at; /* ino 0: free */
	uint64_t noted_ms;  /* last time; 0: by the scan alone */
	uint64_t due_ms;    /* not before */
	uint32_t wait_ms;   /* the back-off; 0: none */
	uint32_t notes;	    /* since the last look */
	unsigned copies;    /* that wait: not looked at meanwhile */
};

struct merge_table {
	struct merge_spot spot[MERGE_SETS][MERGE_WAYS];
	bool missed;
};

/* Something small was recorded in it just now. */
void merge_table_note(
	struct merge_table *t, struct merge_at at, uint64_t now_ms);
/* It has many extents, whoever wrote them and when. */
void merge_table_found(
	struct merge_table *t, struct merge_at at, uint64_t now_ms);

/* The first due region behind `after`, by file and offset, round about. Its
 * notes are taken. False: none is due. */
bool merge_table_next(struct merge_table *t, struct merge_at after,
	uint64_t now_ms, uint64_t quiet_ms, struct merge_at *ret);
/* How many are due. */
unsigned merge_table_due(
	const struct merge_table *t, uint64_t now_ms, uint64_t quiet_ms);

/* What a look at it came to: */
enum merge_end {
	MERGE_NOTHING, /* it is well as it is */
	MERGE_BUSY,    /* it is being written to */
	MERGE_REST,    /* there is more to do in it */
	MERGE_COPIED,  /* one copy waits: MERGE_DONE or _VAIN is to follow */
	MERGE_DONE,    /* one took its place */
	MERGE_VAIN,    /* one was forgotten */
	MERGE_FAILED   /* no copy, or none any more, can be made now */
};
void merge_table_ended(struct merge_table *t, struct merge_at at,
	uint64_t now_ms, enum merge_end how);

#endif
