#include <stdio.h>
#include <stdlib.h>

#include "tests/conformance/drive.h"

/* Enough for two pages and a bit; Swift makes an object in 10 ms. */
#define KEYS 1050u

/* The server is that of tests/servers/with-swift.sh. */
int main(void)
{
	static const char *const secrets[] = {
		"access_key_id=test:tester", "secret_access_key=testing", NULL};
	const char *bucket = getenv("PLURI_TEST_S3");
	char url[256];
	struct host h;

	if (!bucket) {
		printf("1..0 # SKIP PLURI_TEST_S3 names no server\n");
		return 0;
	}
	(void)snprintf(url, sizeof(url), "%s/some/prefix", bucket);
	host_init(&h, NULL, secrets);
	return drive("s3", &h, url, KEYS);
}
