/*
 * tests/system/kill_log.h - what the load writes down and the checker reads.
 *
 * A record is appended before its operation begins; KILL_SYNC and KILL_SYNCDIR
 * after theirs has returned 0. One log a thread, on another filesystem. The
 * first failure ends a thread, so only the last operation can be half done.
 *
 * Bytes follow from (file, version, offset) and are never 0, so that zeros are
 * told from data, and any other byte from what was meant to be there.
 */
#ifndef PLURI_TESTS_SYSTEM_KILL_LOG_H
#define PLURI_TESTS_SYSTEM_KILL_LOG_H

#include <stdint.h>

#define KILL_THREADS 4u
#define KILL_NAMES 12u		    /* in a thread's directory */
#define KILL_FILE_MAX (4u << 20)    /* bytes of one file */
#define KILL_FILES_MAX 65536u	    /* made by one thread */

enum kill_op {
	KILL_CREATE = 1, /* name, file */
	KILL_WRITE,	 /* file, version, off, len */
	KILL_TRUNCATE,	 /* file, off: the new size */
	KILL_RENAME,	 /* name to name2 */
	KILL_UNLINK,	 /* name */
	KILL_SYNC,	 /* file is whole, and so are all names */
	KILL_SYNCDIR,	 /* all names are whole */
};

struct kill_rec {
	uint32_t op;
	uint32_t file;	  /* numbered from 1 in its thread; never used again */
	uint32_t version; /* of a write, never used again in its thread */
	uint32_t name, name2;
	uint32_t thread;
	uint64_t off, len;
};

static inline uint64_t kill_mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Every fourth version repeats itself, so that there is what compresses. */
static inline uint8_t kill_byte(const struct kill_rec *w, uint64_t off)
{
	const uint64_t word = w->version % 4 ? off / 8 : off / 8 % 37;
	const uint64_t key = (uint64_t)w->thread << 60 |
			     (uint64_t)w->file << 40 | w->version;
	const uint64_t z = kill_mix(kill_mix(key) + word);
	const uint8_t b = (uint8_t)(z >> (off % 8 * 8));

	return b ? b : 1;
}

#endif
