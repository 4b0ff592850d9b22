/** Reads all pages of a list, or the first of them. @param most pages */
export async function readPages<P extends { readonly nextPageToken: string }>(
  readPage: (pageToken: string) => Promise<P>,
  most = 100,
): Promise<P[]> {
  const pages: P[] = [];
  let pageToken = "";
  do {
    const page = await readPage(pageToken);
    pages.push(page);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && pages.length < most);
  return pages;
}
