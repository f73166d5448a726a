/** One share of `make fuzz`, as a process of its own: options as JSON in, the result as JSON out. */
import { type CampaignOptions, runCampaign } from './campaign.ts';

const options = JSON.parse(process.argv[2]!) as CampaignOptions & { readonly milliseconds: number };
const until = performance.now() + options.milliseconds;
process.stdout.write(JSON.stringify(runCampaign({ ...options, until })));
