import { testStoreCommits } from "./store_suite_commit.ts";
import { testStoreConcurrency } from "./store_suite_concurrency.ts";
import { testDurableStore } from "./store_suite_durable.ts";
import { testStoreLimits } from "./store_suite_limits.ts";
import { testStoreLists } from "./store_suite_list.ts";
import { testStoreModel } from "./store_suite_model.ts";
import { type StoreSuiteOptions, suiteTest } from "./store_suite_support.ts";
import { testStoreWatches } from "./store_suite_watch.ts";

/**
 * Registers the tests that every adapter of the Store port has to pass, fakes
 * included. They know no engine: sizes come from `store.limits`.
 *
 * `name` stands in front of each test's name.
 */
export function testStore(name: string, options: StoreSuiteOptions): void {
  const test = suiteTest(name, options);
  testStoreCommits(test);
  testStoreLimits(test);
  testStoreLists(test);
  testStoreWatches(test, options);
  testStoreConcurrency(test);
  testStoreModel(test);
  if (options.durable) testDurableStore(test);
}
