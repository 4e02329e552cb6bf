import java.io.Closeable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.MockNode;
import org.elasticsearch.transport.netty4.Netty4Plugin;
import org.elasticsearch.xpack.core.XPackPlugin;
import org.elasticsearch.xpack.security.Security;

/**
 * Elasticsearch 8 with a login and TLS, as it is when nothing is configured: Elasticsearch8 HOME IP PORT. HOME/config
 * holds certificate.pem and key.pem.
 */
public class Elasticsearch8 {
  public static void main(String[] arguments) throws Exception {
    LogConfigurator.configureESLogging();
    Path config = Files.createDirectories(Path.of(arguments[0], "config"));
    Settings settings =
        Settings.builder()
            .put("path.home", arguments[0])
            .put("network.host", arguments[1])
            .put("http.port", arguments[2])
            .put("node.name", "test")
            .put("cluster.name", "test")
            .put("discovery.type", "single-node")
            .put("transport.type", "security4")
            .put("http.type", "security4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("xpack.security.enabled", true)
            .put("xpack.security.autoconfiguration.enabled", false)
            .put("xpack.security.transport.ssl.enabled", false)
            .put("xpack.security.http.ssl.enabled", true)
            .put("xpack.security.http.ssl.key", config.resolve("key.pem").toString())
            .put("xpack.security.http.ssl.certificate", config.resolve("certificate.pem").toString())
            .build();
    Environment environment = InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), config, () -> "test");
    // The server's module holds no node that takes plugins; the one of the test framework does, with a constructor that
    // wants no running test.
    var constructor = MockNode.class.getDeclaredConstructor(Environment.class, Collection.class, boolean.class, Closeable.class);
    constructor.setAccessible(true);
    Closeable nothing = () -> {};
    var plugins = List.of(Netty4Plugin.class, XPackPlugin.class, Security.class);
    ((MockNode) constructor.newInstance(environment, plugins, true, nothing)).start();
    Thread.sleep(Long.MAX_VALUE);
  }
}
