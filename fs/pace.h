/*
 * fs/pace.h - writers no quicker than the clouds, once that matters.
 *
 * What the clouds do not have yet lies in local packs, and a program writes
 * faster than most of them take. Up to half of `max` nobody waits. From
 * there on each byte waits longer: at three quarters as long as the clouds
 * take for one, where it so settles, towards `max` without end. A writer
 * slows down bit by bit and does not meet a wall while they take anything.
 * Above `max` it waits. Clouds that seem to take something and do not are taken
 * for slower from look to look, until one of them is told to be none. When
 * there is no cloud that could take something it is not slowed down at all,
 * since that would help nobody; and above `max`, after PACE_PATIENCE_MS of
 * that, it gets -ENOSPC, until one can.
 *
 * Of several writers at once each waits behind the others' bytes. Few bytes
 * wait for little, however many are ahead in the clouds' queue, and only behind
 * others that are few: a stream's requests, of which the kernel has dozens on
 * their way at once, stand in a line of their own. Were both lines full,
 * together they would get twice the pace for a while, and then settle closer to
 * `max`.
 *
 * Pure: a plain struct, told the time. Confined: the caller locks.
 */
#ifndef PLURI_FS_PACE_H
#define PLURI_FS_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_PATIENCE_MS 10000u
#define PACE_PAUSE_MAX_MS 10000u /* of one answer, whoever is ahead */
#define PACE_FEW (64u << 10) /* bytes of one write, at most */

struct pace {
	uint64_t max; /* bytes, > 0; the rest is pace.c's, zero at first */
	uint64_t rate; /* bytes/s that the clouds took lately, or a guess */
	uint64_t seen_ms, seen_paid; /* when that was measured last */
	uint64_t turn_us[2]; /* when the next byte may come: of many, of few */
	uint64_t stuck_ms; /* since when nothing could be taken; 0: it can */
	uint64_t stuck_paid; /* then: more since was taken all the same */
};

struct pace_now {
	uint64_t ms;	  /* monotonic, > 0 */
	uint64_t pending; /* bytes that the clouds lack */
	uint64_t paid;	  /* bytes that they have got, ever growing */
	bool moves;	  /* one of them may take more; of use above max / 2 */
};

/* May len bytes be written? 0: after *ret_ms, without asking again; -EAGAIN:
 * ask again after *ret_ms; -ENOSPC. */
int pace_ask(struct pace *p, const struct pace_now *now, uint64_t len,
	uint64_t *ret_ms);

#endif
