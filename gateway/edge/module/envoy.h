/* What we use of Envoy's interface for dynamic modules (ABI v0.2.0, Envoy 1.40). Both directions, in our own words; the
 * names and layouts are Envoy's (source/extensions/dynamic_modules/abi/abi.h there). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENVOY_ABI "v0.2.0"

typedef struct {
    const char *data;
    size_t length;
} text; /* not ended by a NUL; Envoy's, for as long as the hook runs, or ours */

typedef struct {
    const char *key;
    size_t key_length;
    const char *value;
    size_t value_length;
} header;

typedef void *envoy_filter; /* one HTTP stream's filter, good until `destroy` */
typedef void *scheduler;

enum { REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_HEADERS };
enum { RECEIVED_REQUEST_BODY, BUFFERED_REQUEST_BODY };
enum { HEADERS_CONTINUE = 0, HEADERS_STOP = 1, HEADERS_STOP_ALL = 4 };
enum { BODY_CONTINUE = 0, BODY_STOP_AND_BUFFER = 1, BODY_STOP_AND_WATERMARK = 2 };
enum { TRAILERS_CONTINUE = 0, TRAILERS_STOP = 1 };
enum { DYNAMIC_METADATA = 0 };
enum { ATTRIBUTE_REQUEST_TOTAL_SIZE = 14, ATTRIBUTE_RESPONSE_CODE = 15, ATTRIBUTE_RESPONSE_CODE_DETAILS = 16,
       ATTRIBUTE_RESPONSE_TOTAL_SIZE = 22, ATTRIBUTE_SOURCE_ADDRESS = 24 };

/* What we call. */
uint32_t envoy_dynamic_module_callback_get_concurrency(void);
int envoy_dynamic_module_callback_http_filter_config_define_counter(void *config, text name, text *labels, size_t count,
                                                                    size_t *id);
int envoy_dynamic_module_callback_http_filter_increment_counter(envoy_filter, size_t id, text *labels, size_t count,
                                                                uint64_t by);
uint32_t envoy_dynamic_module_callback_http_filter_get_worker_index(envoy_filter);
size_t envoy_dynamic_module_callback_http_get_headers_size(envoy_filter, int kind);
bool envoy_dynamic_module_callback_http_get_headers(envoy_filter, int kind, header *into);
bool envoy_dynamic_module_callback_http_set_header(envoy_filter, int kind, text key, text value);
size_t envoy_dynamic_module_callback_http_get_body_size(envoy_filter, int kind);
size_t envoy_dynamic_module_callback_http_get_body_chunks_size(envoy_filter, int kind);
bool envoy_dynamic_module_callback_http_get_body_chunks(envoy_filter, int kind, text *into);
void envoy_dynamic_module_callback_http_set_buffer_limit(envoy_filter, uint64_t bytes);
void envoy_dynamic_module_callback_http_send_response(envoy_filter, uint32_t status, header *, size_t count, text body,
                                                      text details);
void envoy_dynamic_module_callback_http_filter_continue_decoding(envoy_filter);
scheduler envoy_dynamic_module_callback_http_filter_scheduler_new(envoy_filter);
void envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler, uint64_t event);
void envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler);
const void *envoy_dynamic_module_callback_get_most_specific_route_config(envoy_filter);
bool envoy_dynamic_module_callback_http_get_metadata_string(envoy_filter, int source, text space, text key, text *into);
bool envoy_dynamic_module_callback_http_filter_get_attribute_int(envoy_filter, int attribute, uint64_t *into);
bool envoy_dynamic_module_callback_http_filter_get_attribute_string(envoy_filter, int attribute, text *into);
bool envoy_dynamic_module_callback_http_get_cluster_name(envoy_filter, text *into);
