#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#include "fs/secret_int.h"

#define SECRET_DIGITS (2 * PLURI_KEY_BYTES)
#define SECRET_PATH_MAX 4096u

static int secret_digits(struct secret_room *room, uint8_t *key)
{
	char *p = room->data + strspn(room->data, " \t\r\n");

	if (strspn(p, "0123456789abcdefABCDEF") != SECRET_DIGITS ||
		p[SECRET_DIGITS + strspn(p + SECRET_DIGITS, " \t\r\n")] != 0)
		return -EINVAL;
	for (unsigned i = 0; i < SECRET_DIGITS; i++)
		p[i] = (char)tolower((unsigned char)p[i]);
	p[SECRET_DIGITS] = 0;
	return text_unhex(p, key, PLURI_KEY_BYTES);
}

int secret_key(
	const char *ref, uint8_t ret[PLURI_KEY_BYTES], struct pluri_err *err)
{
	struct secret_room room = {NULL, 0};
	uint8_t key[PLURI_KEY_BYTES];
	int r;

	r = secret_room_new(&room, err);
	if (r == 0)
		r = secret_source_read(ref, &room, err);
	if (r < 0)
		(void)pluri_where(err, "the volume's key");
	if (r == 0 && secret_digits(&room, key) < 0)
		r = pluri_fail(err, EINVAL,
			"%.200s does not hold a volume key: %u hexadecimal "
			"digits",
			ref, SECRET_DIGITS);
	secret_room_free(&room);
	if (r == 0)
		memcpy(ret, key, sizeof(key));
	secret_wipe(key, sizeof(key));
	return r;
}

static int secret_write(int fd, const char *text, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int secret_dir_sync(const char *path)
{
	char dir[SECRET_PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd;
	int r;

	(void)snprintf(dir, sizeof(dir), "%.*s",
		slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	return r;
}

/* Whole or not at all, and never over another: written aside, then linked. */
static int secret_put(const char *path, const char *text, size_t len)
{
	char tmp[SECRET_PATH_MAX];
	int fd;
	int r;

	if (snprintf(tmp, sizeof(tmp), "%s.new-%ld", path, (long)getpid()) >=
		(int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, 0600) < 0 ? -errno : 0;
	r = r ? r : secret_write(fd, text, len);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 &&
		renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
		r = -errno;
	/* Some filesystems cannot do that, but can link. */
	if (r == -EINVAL)
		r = link(tmp, path) < 0 ? -errno : unlink(tmp);
	if (r < 0)
		(void)unlink(tmp);
	return r ? r : secret_dir_sync(path);
}

int secret_key_create(const char *ref, const uint8_t key[PLURI_KEY_BYTES],
	struct pluri_err *err)
{
	char text[SECRET_DIGITS + 2];
	const char *path = ref + 5;
	int r;

	if (strncmp(ref, "file:", 5) != 0 || !*path)
		return pluri_fail(err, EINVAL,
			"a key is only made for a file: reference; make this "
			"one yourself, for example by openssl rand -hex 32");
	(void)text_hex(key, PLURI_KEY_BYTES, text);
	text[SECRET_DIGITS] = '\n';
	r = secret_put(path, text, SECRET_DIGITS + 1);
	secret_wipe(text, sizeof(text));
	if (r == -EEXIST)
		return pluri_fail(err, EEXIST,
			"%s is there already: a key is never replaced", path);
	if (r < 0)
		return pluri_fail(err, -r, "%s: the key cannot be written: %s",
			path, strerror(-r));
	return 0;
}
