#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "fs/secret_int.h"

struct secret {
	pthread_mutex_t lock; /* guards room; held while the source is read */
	char *ref;
	struct secret_room room; /* data NULL: not read yet */
};

void secret_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

int secret_new(const char *ref, struct secret **ret, struct pluri_err *err)
{
	struct secret *s;
	int r;

	r = ref[0] ? secret_source_check(ref, err) : 0;
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s || pthread_mutex_init(&s->lock, NULL) != 0) {
		free(s);
		return pluri_fail(err, ENOMEM, "no memory for a secret");
	}
	s->ref = strdup(ref);
	if (!s->ref) {
		secret_free(s);
		return pluri_fail(err, ENOMEM, "no memory for a secret");
	}
	*ret = s;
	return 0;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	secret_room_free(&s->room);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->ref);
	free(s);
}

static const char *secret_line_end(const char *p)
{
	return p + strcspn(p, "\n");
}

struct secret_line {
	const char *name, *value;
	size_t name_len, value_len;
	unsigned number;
};

static size_t secret_trim(const char **p, const char *end)
{
	while (*p < end && strchr(" \t\r", **p))
		(*p)++;
	while (end > *p && strchr(" \t\r", end[-1]))
		end--;
	return (size_t)(end - *p);
}

/* Moves *p on. 1: a "name = value" line; 0: no more; -EINVAL: neither. */
static int secret_next(const char **p, struct secret_line *l)
{
	while (**p) {
		const char *start = *p;
		const char *end = secret_line_end(start);
		const char *eq;
		const size_t n = secret_trim(&start, end);

		*p = *end ? end + 1 : end;
		l->number++;
		if (n == 0 || *start == '#')
			continue;
		eq = memchr(start, '=', n);
		if (!eq || eq == start)
			return -EINVAL;
		l->name = start;
		l->name_len = secret_trim(&l->name, eq);
		l->value = eq + 1;
		l->value_len = secret_trim(&l->value, start + n);
		return 1;
	}
	return 0;
}

/* Every line must be understood, or a slip would read as "no such line". */
static int secret_check(
	const char *ref, const char *text, struct pluri_err *err)
{
	struct secret_line l = {.number = 0};
	int r = 1;

	while (r > 0)
		r = secret_next(&text, &l);
	if (r < 0)
		return pluri_fail(err, EINVAL,
			"%.200s, line %u: expected \"name = value\"", ref,
			l.number);
	return 0;
}

/* With the lock held. What was known stays when the source fails. */
static int secret_load(struct secret *s, struct pluri_err *err)
{
	struct secret_room fresh = {NULL, 0};
	int r;

	r = secret_room_new(&fresh, err);
	if (r == 0)
		r = secret_source_read(s->ref, &fresh, err);
	if (r == 0)
		r = secret_check(s->ref, fresh.data, err);
	/* ENOENT would say "no such line", which nobody knows here. */
	if (r == -ENOENT) {
		r = -EACCES;
		if (err)
			err->code = EACCES;
	}
	if (r < 0) {
		secret_room_free(&fresh);
		return r;
	}
	secret_room_free(&s->room);
	s->room = fresh;
	return 0;
}

static int secret_find(const struct secret *s, const char *name, char *to,
	size_t cap, struct pluri_err *err)
{
	const char *p = s->room.data;
	struct secret_line l = {.number = 0};

	while (secret_next(&p, &l) > 0) {
		if (l.name_len != strlen(name) ||
			memcmp(l.name, name, l.name_len) != 0)
			continue;
		if (l.value_len >= cap)
			return pluri_fail(err, ERANGE,
				"%.200s: the value of %s is longer than %zu "
				"bytes",
				s->ref, name, cap ? cap - 1 : 0);
		memcpy(to, l.value, l.value_len);
		to[l.value_len] = 0;
		return 0;
	}
	return pluri_fail(
		err, ENOENT, "%.200s has no line \"%s = ...\"", s->ref, name);
}

int secret_get(struct secret *s, const char *name, int fresh, char *to,
	size_t cap, struct pluri_err *err)
{
	int r = 0;

	if (s->ref[0] == 0)
		return pluri_fail(err, ENOENT,
			"no credentials: write credentials = file:PATH in the "
			"store's section, with a line \"%s = ...\" in the file",
			name);
	(void)pthread_mutex_lock(&s->lock);
	if (fresh || !s->room.data)
		r = secret_load(s, err);
	if (r == 0)
		r = secret_find(s, name, to, cap, err);
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}
