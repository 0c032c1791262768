#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/secret_int.h"

#define SECRET_COMMAND_MS 30000u

/* Judge before reading: what others can read is no secret. */
static int secret_file_check(int fd, const char *path, struct pluri_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return pluri_fail(err, errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return pluri_fail(err, EINVAL, "%s is not a file", path);
	if (st.st_mode & 077)
		return pluri_fail(err, EACCES,
			"%s is open to others (mode %03o): run chmod 600 %s",
			path, st.st_mode & 0777, path);
	if (st.st_size > (off_t)SECRET_MAX)
		return pluri_fail(err, EINVAL,
			"%s is larger than the limit of %u bytes", path,
			SECRET_MAX);
	return 0;
}

static int secret_file_read(
	const char *path, struct secret_room *room, struct pluri_err *err)
{
	ssize_t n = 0;
	int fd;
	int r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return pluri_fail(err, errno, "%s: cannot be read: %s", path,
			strerror(errno));
	r = secret_file_check(fd, path, err);
	while (r == 0 && room->len <= SECRET_MAX) {
		n = read(
			fd, room->data + room->len, SECRET_MAX + 1 - room->len);
		if (n < 0 && errno != EINTR)
			r = pluri_fail(err, errno, "%s: cannot be read: %s",
				path, strerror(errno));
		if (n == 0)
			break;
		if (n > 0)
			room->len += (size_t)n;
	}
	(void)close(fd);
	return r;
}

static int secret_env_read(
	const char *name, struct secret_room *room, struct pluri_err *err)
{
	const char *v = getenv(name);
	const size_t n = v ? strlen(v) : 0;

	if (!v)
		return pluri_fail(err, EACCES,
			"the environment has no %s: set it where pluri is "
			"started",
			name);
	if (n <= SECRET_MAX)
		memcpy(room->data, v, n);
	room->len = n;
	return 0;
}

static const char *secret_behind(const char *ref, const char *kind)
{
	const size_t n = strlen(kind);

	return strncmp(ref, kind, n) == 0 && ref[n] ? ref + n : NULL;
}

int secret_source_check(const char *ref, struct pluri_err *err)
{
	if (secret_behind(ref, "env:") || secret_behind(ref, "file:") ||
		secret_behind(ref, "command:"))
		return 0;
	/* Not shown: a misunderstanding may have put the secret here. */
	return pluri_fail(err, EINVAL,
		"a reference to a secret is env:NAME, file:PATH or "
		"command:CMD");
}

int secret_source_read(
	const char *ref, struct secret_room *room, struct pluri_err *err)
{
	const char *env = secret_behind(ref, "env:");
	const char *file = secret_behind(ref, "file:");
	const char *command = secret_behind(ref, "command:");
	int r;

	r = secret_source_check(ref, err);
	if (r < 0)
		return r;
	if (env)
		r = secret_env_read(env, room, err);
	else if (file)
		r = secret_file_read(file, room, err);
	else
		r = secret_command_read(command, SECRET_COMMAND_MS, room, err);
	if (r < 0)
		return r;
	if (room->len > SECRET_MAX)
		return pluri_fail(err, EINVAL,
			"%.200s holds more than the limit of %u bytes", ref,
			SECRET_MAX);
	if (memchr(room->data, 0, room->len))
		return pluri_fail(err, EINVAL, "%.200s holds a NUL byte", ref);
	room->data[room->len] = 0;
	return 0;
}
