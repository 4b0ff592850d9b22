/**
 * The native plugin for the platform of this build (native/plugin.c), in
 * Base64. A build replaces this module; undefined where there is no compiler.
 */
export const NATIVE_PLUGIN: string | undefined = undefined;
